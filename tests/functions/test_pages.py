"""The decision page as a person sees it, as a robot presses it, and as whoever forges a code meets it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import pytest
from jinja2 import UndefinedError

from functions import pages
from functions.rendering import templates
from gonogo.core import token
from gonogo.core.errors import RefusedError
from tests.functions import world as worlds
from tests.functions.faults import on_each_call, refusing
from tests.functions.policy import TWO_OF_THREE, policy
from tests.functions.world import Answer, World

NASTY = "<script>alert(1)</script> \u202egpj.exe\u2066 & \"quotes'"
FORM = "application/x-www-form-urlencoded"


class Page(HTMLParser):
    """What a page consists of: its elements with their attributes, and the text of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: dict[str, list[str]] = {"style": [], "script": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._open in self.inline:
            self.inline[self._open].append(data)
            self._open = ""

    def named(self, name: str) -> dict[str, str | None]:
        """Return the control of this name."""
        (found,) = [attributes for _, attributes in self.elements if attributes.get("name") == name]
        return found

    def names(self) -> list[str | None]:
        """Return the names of all controls that have one."""
        return [
            a["name"] for tag, a in self.elements if tag in ("input", "textarea", "button") and "name" in a
        ]


def ask(world: World, **more: Any) -> tuple[Any, str]:
    """Have a launch asked for; return it, and the code that its lead is mailed."""
    launch = world.ask(**more)
    world.settle()
    return launch, world.token("lead")


def answer(world: World, launch: Any, code: str, said: str, comment: str = "") -> Answer:
    """Send the decision page's form."""
    return world.form("/decide", code=code, digest=launch["digest"], answer=said, comment=comment)


def decisions(world: World, launch: Any, gate: int = 0) -> list[tuple[str, str]]:
    """Return who decided a gate, and how, as it counts."""
    said = world.read(launch["id"])["gates"][gate]["decisions"]
    return [(one["actor"]["subject"], one["verdict"]) for one in said if one["void"] is None]


# -- the code ----------------------------------------------------------------------------------------------


def test_form_for_the_code_knows_nothing_of_any_launch(world: World) -> None:
    """Whoever follows links, person or scanner, learns nothing and changes nothing by it."""
    before = world.call("GET", "/decide")
    ask(world, name="secret-project")
    rows = world.rows()
    after = [world.call("GET", "/decide", headers={"cookie": "a=b"}) for _ in range(20)]
    assert {one.text for one in after} == {before.text}
    assert before.code == 200
    assert world.rows() == rows
    page = Page(before.text)
    assert page.names() == ["code"]
    assert page.named("code").get("value") is None


def test_code_shows_all_that_its_digest_covers(world: World) -> None:
    """Nobody can approve what they were not shown."""
    launch, code = ask(
        world,
        name="fair page",
        reason="for the fair\non Thursday",
        cost_center="marketing/7",
        parameters={"count": 3},
    )
    rows = world.rows()
    shown = world.form("/decide", code=code)
    assert shown.code == 200
    for fact in (
        "fair page",
        "web-small",
        "3 \N{MULTIPLICATION SIGN} t3.micro in us-east-1",
        "count</bdi>: <bdi>3",
        "22.78 USD a month",
        "0.0312 USD an hour",
        "22.47 USD in 30 days",
        "at most 30 days",
        "marketing/7",
        "for the fair<br>on Thursday",
        "dev</bdi> <small><bdi>http://gonogo.local",
        "Gate Team lead, 0 of 1 say GO",
        "Thu 26 Nov 2026, 09:00 UTC",
        "2026-11-01",
        launch["plan"]["spec"]["image_id"],
        "metadata_options.http_tokens",
        f'title="{launch["digest"]}"',
        "You decide as lead (http://gonogo.local)",
    ):
        assert fact in shown.text
    assert world.rows() == rows


def test_nothing_is_preselected(world: World) -> None:
    """A page that has an answer in it already is answered by whoever presses its button."""
    _, code = ask(world)
    page = Page(world.form("/decide", code=code).text)
    assert page.named("answer").get("value") is None
    assert "required" in page.named("answer")
    assert not [a for _, a in page.elements if {"checked", "selected", "autofocus", "onclick"} & set(a)]
    assert [tag for tag, _ in page.elements].count("button") == 1
    assert page.inline["script"] == []


def test_what_a_requester_writes_is_read_never_run(world: World) -> None:
    """A reason that is HTML, or that reads otherwise than it is written, must show as what it is."""
    _, code = ask(world, name=NASTY, reason=NASTY)
    text = world.form("/decide", code=code).text
    assert "<script>" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt; ⟨U+202E⟩gpj.exe⟨U+2066⟩ &amp;") == 2


# -- the answer --------------------------------------------------------------------------------------------


def test_typing_go_approves(world: World) -> None:
    """The one word, and nothing else that a page could send by itself."""
    launch, code = ask(world)
    done = answer(world, launch, code, " go ")
    assert done.code == 200
    assert "GO is recorded" in done.text
    assert "Every gate is GO" in done.text
    world.settle()
    assert world.read(launch["id"])["state"] == "RUNNING"


def test_typing_no_go_rejects(world: World) -> None:
    """The other word."""
    launch, code = ask(world)
    done = answer(world, launch, code, "NO-GO", comment="")
    assert done.code == 200
    assert "NO-GO is recorded" in done.text
    assert world.read(launch["id"])["state"] == "REJECTED"


@pytest.mark.parametrize(
    ("verdict", "typed"),
    [
        ("approve", ["GO", "go", " Go ", "gO\t"]),
        ("reject", ["NO-GO", "no-go", "NO GO", "nogo", "No\u2011Go", "NO \u2013 GO", " no  go "]),
        ("revoke", ["REVOKE", "revoke", " Revoke "]),
    ],
)
def test_each_word_is_known_however_a_phone_writes_it(verdict: str, typed: list[str]) -> None:
    """Phones begin with a capital, end with a blank, and have hyphens of their own."""
    assert {pages._verdict(one) for one in typed} == {verdict}


NO_ANSWERS = [
    *("", " ", "yes", "ok", "approve", "true", "on", "1", "GO!", "NO", "GO GO", "GO NO-GO", "NG"),
    *("\uff27\uff2f", "G\u200bO", "\u13c0\u039f", "G-O", "RE-VOKE", "-GO", "GO-", "\u2014 GO"),
]


def test_anything_else_decides_nothing(world: World) -> None:
    """A robot that fills a form writes something, but not this; and a slip of a person is no decision."""
    launch, code = ask(world)
    rows = world.rows()
    for said in NO_ANSWERS:
        again = answer(world, launch, code, said, comment="typed\r\nbefore")
        assert again.code == 422
        assert "Nothing is decided. Type GO or NO\u2011GO" in again.text
        assert "typed\nbefore</textarea>" in again.text
        assert Page(again.text).named("answer").get("value") is None
    assert world.rows() == rows


def test_comment_is_kept_with_the_decision(world: World) -> None:
    """Whoever asked wants to know why."""
    launch, code = ask(world)
    answer(world, launch, code, "no-go", comment="too dear;\r\nask for less ✂ ")
    (decision,) = world.read(launch["id"])["gates"][0]["decisions"]
    assert decision["comment"] == "too dear;\nask for less ✂"
    assert decision["channel"] == "link"
    world.settle()
    assert "| ask for less ✂" in str(world.mails("dev")[-1].get_body(("plain",)).get_content())  # type: ignore[union-attr]


def test_comment_that_breaks_a_rule_decides_nothing(world: World) -> None:
    """What cannot be kept as it was meant is not kept in part; the longest there may be is kept whole."""
    launch, code = ask(world)
    rows = world.rows()
    for comment in ("x" * 501, "bell \x07", "half\rline"):
        again = answer(world, launch, code, "GO", comment=comment)
        assert again.code == 422
        assert "500 characters at most" in again.text
    assert world.rows() == rows
    assert answer(world, launch, code, "GO", comment="語" * pages.LONGEST_COMMENT).code == 200


def test_saying_it_again_changes_nothing_and_says_so(world: World) -> None:
    """People press twice, and phones send twice."""
    launch, code = ask(world, template="gpu-large")
    answer(world, launch, code, "GO")
    rows = world.rows()
    for _ in range(3):
        world.clock.go(minutes=1)
        again = answer(world, launch, code, "GO")
        assert again.code == 200
        assert "You have said GO" in again.text
        assert "It was recorded before; nothing was changed now." in again.text
    assert world.rows() == rows


def test_saying_the_opposite_is_a_conflict(world: World) -> None:
    """Changing one's mind is taking back and saying anew, so that nobody does it by mistake."""
    launch, code = ask(world, template="gpu-large")
    answer(world, launch, code, "GO")
    rows = world.rows()
    conflict = answer(world, launch, code, "NO-GO")
    assert conflict.code == 409
    assert "You have decided the gate" in conflict.text
    assert Page(conflict.text).names() == ["code"]
    assert world.rows() == rows


def test_link_shows_what_was_said_and_how_to_take_it_back(world: World) -> None:
    """The link in the mail stays of use: it tells what one said."""
    launch, code = ask(world, template="gpu-large")
    answer(world, launch, code, "GO", comment="for the paper")
    shown = world.form("/decide", code=code)
    assert shown.code == 200
    for fact in ("You have said GO", "for the paper", "type REVOKE", "It waits for Finance (0 of 1 say GO)."):
        assert fact in shown.text


def test_typing_revoke_takes_it_back(world: World) -> None:
    """Until the launch is cleared a decision may be taken back, and made again."""
    launch, code = ask(world, template="gpu-large")
    answer(world, launch, code, "GO")
    world.settle()
    back = answer(world, launch, code, "revoke")
    assert back.code == 200
    assert "Your decision is taken back" in back.text
    assert decisions(world, launch) == []
    world.settle()
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    assert answer(world, launch, world.token("lead"), "GO").code == 200
    assert decisions(world, launch) == [("lead", "approve")]


def test_anything_else_takes_nothing_back(world: World) -> None:
    """What holds for saying go holds for taking it back."""
    launch, code = ask(world, template="gpu-large")
    answer(world, launch, code, "GO")
    rows = world.rows()
    for said in ("", "take it back", "yes"):
        again = answer(world, launch, code, said)
        assert again.code == 422
        assert "Nothing is decided. Type REVOKE" in again.text
    assert world.rows() == rows


def test_nothing_is_taken_back_once_it_is_cleared(world: World) -> None:
    """What is launched is launched; stopping it is another command."""
    launch, code = ask(world)
    answer(world, launch, code, "GO")
    rows = world.rows()
    assert answer(world, launch, code, "REVOKE").code == 409
    for shown in (world.form("/decide", code=code), answer(world, launch, code, "perhaps")):
        assert shown.code == 200
        assert "REVOKE" not in shown.text
    assert world.rows() == rows


def test_digest_that_was_not_shown_decides_nothing(world: World) -> None:
    """An approval is of what was on the screen."""
    launch, code = ask(world)
    rows = world.rows()
    stale = world.form("/decide", code=code, digest="0" * 64, answer="GO")
    assert stale.code == 409
    assert "not the one you were shown" in stale.text
    assert launch["digest"] not in stale.text
    assert world.rows() == rows


@pytest.mark.parametrize("template", ["web-small", "gpu-large"])
def test_who_is_asked_in_vain_is_told_that_nothing_is_left_to_decide(template: str) -> None:
    """A valid code is told why it counts no longer, though the launch may wait for another gate still."""
    with worlds.world(TWO_OF_THREE) as made:
        launch = made.ask(template=template)
        made.settle()
        codes = [made.token(name) for name in ("lead", "lead2", "lead3")]
        assert "1 of 2 say GO" in answer(made, launch, codes[0], "GO").text
        shown = made.form("/decide", code=codes[1])
        assert "GO: <bdi>lead</bdi>" in shown.text
        answer(made, launch, codes[1], "GO")
        late = made.form("/decide", code=codes[2])
        assert late.code == 200
        assert "There is nothing to decide any more" in late.text
        assert "answer" not in Page(late.text).names()
        assert answer(made, launch, codes[2], "NO-GO").code == 409


def test_who_may_decide_no_longer_is_told_so(world: World) -> None:
    """Authority is what policy says now, not what it said when the mail went out."""
    launch, code = ask(world)
    files = policy()
    files["people.toml"] = (
        files["people.toml"]
        .replace('groups = ["leads"]', 'groups = ["operators"]')
        .replace('groups = ["operators"]\nmail = "ops', 'groups = ["operators", "leads"]\nmail = "ops')
    )
    world.publish(files)
    for refused in (world.form("/decide", code=code), answer(world, launch, code, "GO")):
        assert refused.code == 403
        assert "You are not among those who may decide the gate" in refused.text
    assert decisions(world, launch) == []


# -- codes that are none -----------------------------------------------------------------------------------


def mutants(code: str) -> list[str]:
    """Return what an attacker, a mail program or a clumsy hand makes of a code."""
    body = code.removeprefix("gng_")
    return [
        "",
        "gng_",
        code + "=",
        code + " ",
        " " + code,
        code + "\n",
        code + "\x00",
        code.upper(),
        code[:-1],
        code + "A",
        code[:30] + ("A" if code[30] != "A" else "B") + code[31:],
        code[:-3] + ("AAA" if not code.endswith("AAA") else "BBB"),
        body,
        "gng_" + quote(body + "-", safe=""),
        "gng_" + base64.urlsafe_b64encode(b"{}").decode(),
        "gng_" + "\uff21" * 40,
        "gng_" + "A" * 1496,
        "gng_" + "A" * 4000,
        "<b>" + NASTY,
    ]


def test_every_code_that_is_none_gets_one_answer(world: World) -> None:
    """An answer that differs tells a forger how far they have come."""
    launch, code = ask(world)
    rows = world.rows()
    seen = {
        (one.code, one.text, str(sorted(one.headers.items())))
        for text in mutants(code)
        for one in (world.form("/decide", code=text), answer(world, launch, text, "GO"))
    }
    world.clock.go(days=3)
    late = world.form("/decide", code=code)
    seen.add((late.code, late.text, str(sorted(late.headers.items()))))
    assert len(seen) == 1
    assert next(iter(seen))[0] == 404
    assert world.rows() == rows


def test_answer_that_is_none_does_not_tell_a_code_that_is_none(world: World) -> None:
    """The page is shown again to whoever has the right code, and to nobody else."""
    launch, code = ask(world)
    assert answer(world, launch, code[:-1], "perhaps").text == world.form("/decide", code="x").text


# -- the form itself ---------------------------------------------------------------------------------------


NOT_OUR_FORM = [
    ("code={code}&digest={digest}&answer=GO&state=GO", 400),
    ("code={code}&digest={digest}&answer=GO&answer=GO", 400),
    ("code={code}&code={code}", 400),
    ("code={code}&answer=GO", 400),
    ("code={code}&digest={digest}&comment=x", 400),
    ("code={code}&comment=x", 400),
    ("digest={digest}&answer=GO", 400),
    ("code={code}&digest={digest}&answer=GO&comment=%ff", 400),
    ("code={code}&digest={digest}&answer=GO&comment=%ed%a0%80", 400),
    ("code={code}&digest={digest}&answer=GO&comment=ä", 400),
    ("code={code};digest={digest};answer=GO", 404),
    ("code={code}&digest={digest}&answer=GO&", 400),
    ("", 400),
    ("&&&&", 400),
    ("code={code}&digest={digest}&answer=GO&comment=" + "x" * 8192, 413),
]


def test_form_that_is_not_ours_decides_nothing(world: World) -> None:
    """One meaning or none: a field that is unknown, missing or there twice is not guessed at."""
    launch, code = ask(world)
    rows = world.rows()
    for body, status in NOT_OUR_FORM:
        raw = body.format(code=code, digest=launch["digest"]).encode()
        refused = world.call("POST", "/decide", raw=raw, headers={"content-type": FORM})
        assert refused.code == status, body
    assert world.rows() == rows


def test_other_types_of_body_decide_nothing(world: World) -> None:
    """A body that another site can send without asking is read as a form only if it says that it is one."""
    launch, code = ask(world)
    raw = f"code={code}&digest={launch['digest']}&answer=GO".encode()
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x", ""):
        assert world.call("POST", "/decide", raw=raw, headers={"content-type": kind}).code == 415
    assert decisions(world, launch) == []


def test_charset_of_a_form_is_no_reason_to_refuse_it(world: World) -> None:
    """Some browsers say in which charset they wrote the form, as they may."""
    _, code = ask(world)
    kind = f"{FORM}; charset=UTF-8"
    sent = world.call("POST", "/decide", raw=f"code={code}".encode(), headers={"content-type": kind})
    assert sent.code == 200


def test_form_that_another_site_sends_decides_nothing(world: World) -> None:
    """A page elsewhere that knows a code could have it decided by whoever comes along.

    Our own form is `same-origin`; `none` is a person's own doing, such as a reload (Fetch Metadata, 2.1).
    """
    launch, code = ask(world)
    for site in ("cross-site", "same-site", "else"):
        for fields in ({"code": code}, {"code": code, "digest": launch["digest"], "answer": "GO"}):
            refused = world.call(
                "POST",
                "/decide",
                raw=urlencode(fields).encode(),
                headers={"content-type": FORM, "sec-fetch-site": site},
            )
            assert refused.code == 403
            assert launch["id"] not in refused.text
    assert decisions(world, launch) == []
    for site in ("same-origin", "none"):
        assert world.form("/decide", headers={"sec-fetch-site": site}, code=code).code == 200


# -- when something fails ----------------------------------------------------------------------------------


def test_outage_asks_to_try_again_and_says_nothing_of_the_inside(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What went wrong is for the log, and the code is not; what to do is for the person."""
    launch, code = ask(world)
    with on_each_call(refusing("kms.VerifyMac", "ThrottlingException", "the key arn:aws:kms:x")):
        for busy in (world.form("/decide", code=code), answer(world, launch, code, "GO")):
            assert busy.code == 503
            assert busy.headers["retry-after"] == "5"
            assert "Please try again" in busy.text
            assert "kms" not in busy.text.lower()
    assert decisions(world, launch) == []
    assert "arn:aws:kms:x" in caplog.text
    assert token.PREFIX not in caplog.text


@pytest.mark.parametrize(
    "error", [RuntimeError("gng_secret in a stack"), RefusedError("AccessDenied", "gng_secret of an account")]
)
def test_error_that_nobody_expected_says_nothing_of_the_inside(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A stack trace on a page is a gift to whoever looks for one, and so are the words of AWS."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("gonogo.service.decide.show", broken)
    failed = world.form("/decide", code="gng_x")
    assert failed.code == 500
    assert "Something went wrong here" in failed.text
    assert "secret" not in failed.text


@pytest.mark.parametrize(("text", "error"), [("{{ nobody }}", UndefinedError), ("{{ told }}", TypeError)])
def test_nothing_is_left_out_in_silence(text: str, error: type[Exception]) -> None:
    """An approver must not miss what a template has no value for."""
    with pytest.raises(error):
        templates().from_string(text).render(told=None)


# -- every page --------------------------------------------------------------------------------------------


@pytest.fixture(name="every_page", scope="module")
def all_pages() -> dict[str, Answer]:
    """Return one of each page, by the path under which a browser shows it."""
    with worlds.world() as made:
        return one_of_each(made)


def one_of_each(world: World) -> dict[str, Answer]:
    """Return one of each page of a world."""
    launch, code = ask(world, template="gpu-large")
    shown = {
        "/api/": world.call("GET", "/"),
        "/api/decide?form": world.call("GET", "/decide"),
        "/api/decide?question": world.form("/decide", code=code),
        "/api/decide?again": answer(world, launch, code, ""),
        "/api/decide?recorded": answer(world, launch, code, "GO"),
        "/api/decide?before": world.form("/decide", code=code),
        "/api/decide?conflict": answer(world, launch, code, "NO-GO"),
        "/api/decide?invalid": world.form("/decide", code="x"),
        "/api/decide?malformed": world.form("/decide", other="x"),
        "/api/decide?elsewhere": world.form("/decide", headers={"sec-fetch-site": "cross-site"}, code=code),
        f"/api/launches/{launch['id']}": world.call("GET", f"/launches/{launch['id']}"),
    }
    assert len({one.text for one in shown.values()}) == len(shown)
    return shown


def test_every_page_carries_every_header(every_page: dict[str, Answer]) -> None:
    """A page that can be framed, kept or sniffed can be used against whoever looks at it."""
    for path, page in every_page.items():
        policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
        assert policy.pop("default-src") == "'none'", path
        assert policy.pop("base-uri") == "'none'"
        assert policy.pop("form-action") == "'self'"
        assert policy.pop("frame-ancestors") == "'none'"
        assert policy.keys() <= {"style-src", "script-src"}
        assert ("script-src" in policy) == (path == "/api/decide?form")
        for name, value in {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",
            "cross-origin-opener-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }.items():
            assert page.headers[name] == value
        assert page.headers["strict-transport-security"].startswith("max-age=63072000")
        assert "set-cookie" not in page.headers


def test_browser_runs_what_we_wrote_and_nothing_else(every_page: dict[str, Answer]) -> None:
    """Style and script are allowed by the hash of just that text."""
    for path, answered in every_page.items():
        page, allowed = Page(answered.text), answered.headers["content-security-policy"]
        assert len(page.inline["style"]) == 1
        assert len(page.inline["script"]) == (path == "/api/decide?form")
        for kind, texts in page.inline.items():
            digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in texts]
            said = [one for one in allowed.split("; ") if one.startswith(f"{kind}-src")]
            assert said == [f"{kind}-src 'sha256-{one}'" for one in digests]
        assert not [
            a for _, a in page.elements if any(name.startswith("on") or name == "style" for name in a)
        ]


def test_every_link_is_relative_and_stays_below_a_stage(every_page: dict[str, Answer]) -> None:
    """A stage prefix and a domain of one's own must both work, without a setting."""
    for path, answered in every_page.items():
        for _, attributes in Page(answered.text).elements:
            for url in (attributes.get("href"), attributes.get("action"), attributes.get("src")):
                if url is not None:
                    assert re.match(r"(\.\./)?[a-z.]+$", url)
                    assert urljoin(path, url) in (
                        "/api/decide",
                        "/api/home",
                        "/api/openapi.json",
                        "/api/usage",
                    )


def test_every_page_can_be_read_by_everybody(every_page: dict[str, Answer]) -> None:
    """A language, a title, one main heading, and a label for each control."""
    for answered in every_page.values():
        page = Page(answered.text)
        tags = [tag for tag, _ in page.elements]
        assert (tags.count("h1"), tags.count("main"), tags.count("title")) == (1, 1, 1)
        assert dict(page.elements)["html"] == {"lang": "en"}
        labels = {a.get("for") for tag, a in page.elements if tag == "label"}
        seen = [a for tag, a in page.elements if tag in ("input", "textarea") and a.get("type") != "hidden"]
        assert {a["id"] for a in seen} == labels


def test_pointer_does_not_tell_whether_there_is_a_launch(world: World) -> None:
    """Ids are no secret, but what is asked for is."""
    launch, _ = ask(world, name="secret-project")
    there = world.call("GET", f"/launches/{launch['id']}")
    not_there = world.call("GET", f"/launches/l-{'a' * 32}")
    assert there.code == not_there.code == 200
    assert there.text.replace(launch["id"], "ID") == not_there.text.replace(f"l-{'a' * 32}", "ID")
    for command in (f"gonogo show {launch['id']}", f"gonogo decide {launch['id']}", "v1/launches/"):
        assert command in there.text


def test_pointer_repeats_nothing_but_an_id(world: World) -> None:
    """A page that says what its address says can be made to say anything."""
    for said in ("call-0900-now", f"l-{'a' * 32}-call-0900-now", f"call-0900-now-l-{'a' * 32}"):
        text = world.call("GET", f"/launches/{said}").text
        assert "0900" not in text
        assert "gonogo show LAUNCH_ID" in text


def test_front_page_without_its_slash_leads_to_the_one_with_it() -> None:
    """`/api` is a stage's root too, and there every relative link would go astray."""
    moved = pages.landing("/api")
    assert moved.status_code == 308
    assert urljoin("/api", str(moved.headers["Location"])) == "/api/"
    for astray in ("//elsewhere.example", "/api/https://elsewhere.example"):
        led = urljoin("https://gonogo.example/api", str(pages.landing(astray).headers["Location"]))
        assert led == "https://gonogo.example/elsewhere.example/"
