"""What people read in mails: every kind as golden files, and what no requester's text can do to them.

The files in tests/golden/mails/ are what was last agreed on. After a change that is meant, write them anew
with `GOLDEN=write make test ARGS=tests/functions/test_mails.py`, and read the difference before a commit.
"""

from __future__ import annotations

import email
import email.policy
import os
from email.message import EmailMessage
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from functions import mails
from gonogo.core.bundle import Person
from gonogo.core.delivery import Topic
from gonogo.core.errors import RefusedError
from gonogo.service import notify
from tests.functions import notices
from tests.functions.notices import CASES, CODE

GOLDEN = Path(__file__).parents[1] / "golden" / "mails"
SENDER = "gonogo@example.com"


def read(raw: bytes) -> EmailMessage:
    """Return a message as a mail program reads it."""
    return email.message_from_bytes(raw, policy=email.policy.default)


def part(mail: EmailMessage, kind: str) -> str:
    """Return the text of one alternative."""
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def mailed(case: str) -> EmailMessage:
    """Return the mail of a case."""
    return read(mails.render(CASES[case](), SENDER))


@pytest.mark.parametrize("case", CASES)
def test_mail_reads_as_agreed(case: str) -> None:
    """What people read changes only when somebody means it to."""
    mail = mailed(case)
    headers = "".join(f"{name}: {value}\n" for name, value in mail.items())
    for ending, text in {"headers": headers, "txt": part(mail, "plain"), "html": part(mail, "html")}.items():
        path = GOLDEN / f"{case}.{ending}"
        if os.environ.get("GOLDEN") == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text


def test_no_golden_file_is_left_over() -> None:
    """A golden file without a case would be believed, and holds nothing."""
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def test_every_notice_that_is_ever_made_has_a_mail() -> None:
    """A topic without a template would be tried again and again, and tell nobody."""
    assert {CASES[case]().topic for case in CASES} == set(get_args(Topic))
    assert set(notify.ABOUT_THE_LAUNCH.values()) < set(get_args(Topic))


@pytest.mark.parametrize("case", CASES)
def test_same_notice_gives_the_same_bytes(case: str) -> None:
    """A notice that is sent twice can be known for the same by every byte of it."""
    assert mails.render(CASES[case](), SENDER) == mails.render(CASES[case](), SENDER)


def test_resending_later_keeps_the_message_id() -> None:
    """Mail programs show a mail that came twice once, if its Message-ID is the same."""
    first = CASES["decide"]()
    later = msgspec.structs.replace(first, at=first.at.replace(hour=23))
    assert read(mails.render(first, SENDER))["Message-ID"] == read(mails.render(later, SENDER))["Message-ID"]


@pytest.mark.parametrize("case", CASES)
def test_code_is_in_the_link_only(case: str) -> None:
    """The code stands once in each alternative, and in no header, which servers log."""
    notice, mail = CASES[case](), mailed(case)
    assert not any("gng_" in str(value) for value in mail.values())
    for kind in ("plain", "html"):
        assert part(mail, kind).count("gng_") == (1 if notice.code else 0)
        assert part(mail, kind).count(notice.link) <= 1


def test_link_to_decide_says_that_opening_it_decides_nothing() -> None:
    """Whoever is afraid of a link does not look, and whoever does not look does not decide well."""
    mail = mailed("decide")
    for kind in ("plain", "html"):
        assert "Opening the link decides nothing" in part(mail, kind)
        assert f"https://gonogo.example.com/decide#{CODE}" in part(mail, kind)


def test_mail_without_a_code_says_how_to_decide_signed_in() -> None:
    """A gate with `login = true` gives a pointer, and a pointer that leads nowhere helps nobody."""
    for kind in ("plain", "html"):
        text = part(mailed("decide-signed-in"), kind)
        assert "gonogo decide l-" in text
        assert "/decisions" in text


INVISIBLE = ["\u202e", "\u2066", "\u200b", "\u00ad", "\u2028", "\x7f", "\x1b", "\u3164", "\U000e0041"]


@pytest.mark.parametrize("sign", INVISIBLE)
def test_signs_that_nobody_would_see_are_shown(sign: str) -> None:
    """A text that reads otherwise than it is written must not get a GO."""
    launch = notices.asked(name=f"a{sign}b", reason=f"c{sign}d", cost_center=f"e{sign}f")
    leo = msgspec.structs.replace(notices.LEO, name=f"Leo{sign}n")
    mail = read(mails.render(notices.notice("decide", launch, leo, on="lead", code=CODE), SENDER))
    shown = f"⟨U+{ord(sign):04X}⟩"
    assert f"a{shown}b" in mail["Subject"]
    assert mail["To"].addresses[0].display_name == f"Leo{shown}n"
    for kind in ("plain", "html"):
        text = part(mail, kind)
        assert sign not in text
        for around in ("ab", "cd", "ef"):
            assert shown.join(around) in text


def test_no_encoded_word_ends_a_header() -> None:
    """What a header hides as an encoded word is written out by Python, line feeds and all (CVE-2024-6923)."""
    hidden = "=?utf-8?q?shop=0D=0ABcc=3A_eve=40example=2Ecom=0D=0A=0D=0A?="
    launch = notices.asked(name=hidden, requester=notices.ROBOT)
    leo = msgspec.structs.replace(notices.LEO, name=hidden)
    raw = mails.render(notices.notice("decide", launch, leo, on="lead", code=CODE), SENDER)
    mail = read(raw)
    assert sorted(mail.keys()) == sorted(mailed("decide").keys())
    assert [one.addr_spec for one in mail["To"].addresses] == [leo.mail]
    assert b"eve@example" not in raw.partition(b"\r\n\r\n")[0]
    assert str(mail["Subject"]).startswith("GO or NO-GO? = ?utf-8")


@pytest.mark.parametrize("line", ["\r\nBcc: eve@example.com", "\nBcc: eve", "\r\n\r\n<h1>", "\u0085Bcc:"])
def test_no_text_ends_a_header(line: str) -> None:
    """Mail headers are lines, and a requester's text is none of them."""
    launch = notices.asked(name=f"shop{line}", requester=notices.ROBOT)
    raw = mails.render(notices.notice("decide", launch, notices.LEO, on="lead", code=CODE), SENDER)
    mail = read(raw)
    assert sorted(mail.keys()) == sorted(mailed("decide").keys())
    assert mail["Bcc"] is None
    assert str(mail["Subject"]).startswith("GO or NO-GO? shop⟨U+")


def test_no_text_makes_a_part_of_its_own() -> None:
    """The boundary cannot be written by a requester who knows it: quoted-printable writes `=` as =3D."""
    boundary = mails._boundary(CASES["decide"]().id)
    for fill in range(80):
        launch = notices.asked(reason="x" * fill + f"--{boundary}\n--{boundary}\n\nContent-Type: text/html")
        mail = read(mails.render(notices.notice("decide", launch, notices.LEO, on="lead", code=CODE), SENDER))
        assert [one.get_content_type() for one in mail.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]


def test_text_of_a_requester_is_no_html() -> None:
    """What is asked for is read, never run."""
    html = part(mailed("decide-nasty"), "html")
    assert "<script>" not in html
    assert "<b>®" not in html


def test_whoever_policy_has_no_name_for_is_called_by_subject_and_issuer() -> None:
    """No name is made up, and none is taken from a token."""
    text = part(mailed("decide-nasty"), "plain")
    assert "repo:acme/shop:ref:refs/heads/main (https://token.actions.example.com)" in text
    assert "Dana Dev (dana, https://id.example.com)" in text


@pytest.mark.parametrize(
    "address", ["", "nobody", "a@b@c", 'a"b@example.com', "a b@c.example", "x\r\n@c.example"]
)
def test_address_that_is_none_is_refused_for_good(address: str) -> None:
    """A mail that can never go out is given up, not tried for days."""
    leo = Person(name="Leo", issuer=notices.ISSUER, subject="leo", mail=address)
    notice = msgspec.structs.replace(CASES["decide"](), person=leo)
    with pytest.raises(RefusedError):
        mails.render(notice, SENDER)


def test_every_line_fits_into_a_mail() -> None:
    """Servers may cut lines of more than 998 characters (RFC 5322, section 2.1.1)."""
    for case in CASES:
        raw = mails.render(CASES[case](), f"Launches <{SENDER}>")
        raw.decode("ascii")
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        assert b"\n" not in raw.replace(b"\r\n", b"")
