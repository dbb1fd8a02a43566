"""An approval token has one form: whatever else comes back is no token, and nobody learns why."""

from __future__ import annotations

import base64
import hashlib
import hmac
import string
import urllib.parse
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.core import bundle, token
from gonogo.core.actor import Actor
from gonogo.core.errors import TokenInvalidError
from gonogo.core.token import Claim
from tests.core.builders import AT, DAY, LEAD, SECOND

KEY = b"k" * 32
EPOCH = 3
DIGEST = hashlib.sha256(b"the question").hexdigest()


def claim(**changed: Any) -> Claim:
    """Return LEAD's claim on the gate `lead`, for a day."""
    whole: dict[str, Any] = {
        "keys": "people",
        "launch": "l-" + "a" * 32,
        "gate": "lead",
        "round": 1,
        "actor": LEAD,
        "digest": DIGEST,
        "expires_at": AT + DAY,
        "epoch": EPOCH,
        **changed,
    }
    return token.claim(**whole)


def signed(payload: bytes) -> str:
    """Return the token of this payload, as the key's holder makes it."""
    return token.write(payload, hmac.digest(KEY, payload, "sha256"))


def accepted(text: str, *, now: datetime = AT, epoch: int = EPOCH) -> Claim:
    """Return what a token claims if it is of the form, and its MAC verifies.

    Raises:
        TokenInvalidError: it is not, or does not.
    """
    said, payload, mac = token.read(text, now=now, epoch=epoch)
    if not hmac.compare_digest(hmac.digest(KEY, payload, "sha256"), mac):
        raise TokenInvalidError
    return said


TOKEN = signed(token.payload(claim()))


def raw(text: str) -> bytes:
    """Return the bytes of a token's body."""
    body = text.removeprefix(token.PREFIX)
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def written(body: bytes) -> str:
    """Return a token of any bytes."""
    return token.PREFIX + base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def test_round_trip():
    """What a token was made of is what is read from it."""
    said = accepted(TOKEN)
    assert said == claim()
    assert said.actor == LEAD
    assert said.digest.hex() == DIGEST
    assert (said.launch, said.gate, said.round, said.keys, said.epoch) == (
        "l-" + "a" * 32,
        "lead",
        1,
        "people",
        EPOCH,
    )


def test_the_same_claim_makes_the_same_token():
    """A notice that is sent again carries the same link, though nothing is stored."""
    assert signed(token.payload(claim())) == TOKEN


def test_scanners_can_find_it():
    """A secret scanner knows a leaked token by its prefix, and the rest needs no escaping in a link."""
    assert TOKEN.startswith("gng_")
    assert set(TOKEN) <= set(string.ascii_letters + string.digits + "_-")


@pytest.mark.parametrize(
    "changed",
    [
        {"keys": "hook"},
        {"launch": "l-" + "b" * 32},
        {"gate": "finance"},
        {"round": 2},
        {"actor": Actor(LEAD.issuer, "lead2")},
        {"actor": Actor(LEAD.issuer + "/", "lead")},
        {"digest": "0" * 64},
        {"expires_at": AT + DAY + SECOND},
        {"epoch": EPOCH + 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_mac_binds_every_field(changed: dict[str, Any]):
    """A MAC for one launch, gate, round, actor, digest or time is good for no other."""
    payload = token.payload(claim(**changed))
    forged = token.write(payload, raw(TOKEN)[-token.MAC_BYTES :])
    with pytest.raises(TokenInvalidError):
        accepted(forged)


@pytest.mark.parametrize(("late", "valid"), [(-1, True), (0, False), (1, False)])
def test_expiry_is_to_the_second(late: int, valid: bool):  # noqa: FBT001 - a table of what is valid
    """The second in which a gate expires is too late for its link."""
    now = AT + DAY + late * SECOND
    if valid:
        assert accepted(TOKEN, now=now) == claim()
    else:
        with pytest.raises(TokenInvalidError):
            token.read(TOKEN, now=now, epoch=EPOCH)


def test_a_token_never_outlives_its_gate_by_a_fraction():
    """Seconds are cut, not rounded: the link dies first."""
    said = claim(expires_at=AT + 0.9 * SECOND)
    assert said.expires == AT.timestamp()


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH + 1, 0])
def test_another_epoch_makes_every_token_void(epoch: int):
    """After a restore nobody may decide with a link from a time that has not happened, either way."""
    with pytest.raises(TokenInvalidError):
        token.read(TOKEN, now=AT, epoch=epoch)


@pytest.mark.parametrize(("more", "valid"), [(0, True), (1, False), (300, False)])
def test_what_is_too_long_is_not_read_at_all(more: int, valid: bool):  # noqa: FBT001 - a table of what is valid
    """Whoever posts a megabyte must be answered before it is decoded, and the longest name still fits."""
    spare = (token.LONGEST - len("gng_")) * 3 // 4 - len(raw(signed(token.payload(claim(gate="g" * 300)))))
    text = signed(token.payload(claim(gate="g" * (300 + spare + more))))
    if valid:
        assert len(text) == token.LONGEST
        assert accepted(text).gate == "g" * (300 + spare)
    else:
        with pytest.raises(TokenInvalidError):
            token.read(text, now=AT, epoch=EPOCH)


def mutants() -> dict[str, str]:
    """Return texts that a careless reader would take for the token, by what was done to it."""
    body = TOKEN.removeprefix("gng_")
    half = len(TOKEN) // 2
    first = next(one for one in body if one.isalpha())
    found = {
        "empty": "",
        "prefix only": "gng_",
        "no prefix": body,
        "prefix twice": "gng_" + TOKEN,
        "other prefix": "gnh_" + body,
        "prefix in capitals": "GNG_" + body,
        "lower case": TOKEN.lower(),
        "upper case": TOKEN.upper(),
        "case swapped": TOKEN.swapcase(),
        "one case swapped": TOKEN.replace(first, first.swapcase(), 1),
        "padded": TOKEN + "=",
        "padded twice": TOKEN + "==",
        "padded to four": TOKEN + "=" * (-len(body) % 4 or 4),
        "space before": " " + TOKEN,
        "space after": TOKEN + " ",
        "space inside": TOKEN[:half] + " " + TOKEN[half:],
        "newline after": TOKEN + "\n",
        "carriage return after": TOKEN + "\r\n",
        "newline inside": TOKEN[:half] + "\n" + TOKEN[half:],
        "tab before": "\t" + TOKEN,
        "no-break space after": TOKEN + "\u00a0",
        "zero width inside": TOKEN[:half] + "\u200b" + TOKEN[half:],
        "byte order mark": "\ufeff" + TOKEN,
        "NUL after": TOKEN + "\0",
        "NUL inside": TOKEN[:half] + "\0" + TOKEN[half:],
        "percent-encoded": urllib.parse.quote(TOKEN, safe="").replace("_", "%5F"),
        "percent-encoded letter": "gng_%" + f"{ord(body[0]):02X}" + body[1:],
        "plus for minus": TOKEN.replace("-", "+").replace("_", "/"),
        "standard alphabet": "gng_" + base64.b64encode(raw(TOKEN)).decode(),
        "fullwidth": "gng_" + "".join(chr(ord(one) + 0xFEE0) for one in body),
        "Cyrillic a": TOKEN.replace("a", "\u0430"),
        "surrogate": TOKEN + "\ud800",
        "quoted": f'"{TOKEN}"',
        "twice": TOKEN + TOKEN,
        "twice, one body": TOKEN + body,
        "a link": f"https://gonogo.example/decide#{TOKEN}",
        "reversed": "gng_" + body[::-1],
        "too long": TOKEN + "A" * token.LONGEST,
        "all zero": "gng_" + "A" * len(body),
        "byte before": written(b"\0" + raw(TOKEN)),
        "byte after the MAC": written(raw(TOKEN) + b"\0"),
        "no MAC": written(token.payload(claim())),
        "MAC only": written(raw(TOKEN)[-token.MAC_BYTES :]),
        "half a MAC": written(raw(TOKEN)[: -token.MAC_BYTES // 2]),
    }
    for cut in range(1, len(TOKEN)):
        found[f"cut to {cut}"] = TOKEN[:cut]
    return {name: text for name, text in found.items() if text != TOKEN}


def test_only_the_one_form_is_read():
    """A code that works in two forms can be used twice (CVE-2025-6014): each mutant gets the one answer."""
    answers = set()
    for name, text in mutants().items():
        with pytest.raises(TokenInvalidError) as raised:
            pytest.fail(f"{name}: {accepted(text)}")
        answers.add(
            (type(raised.value), str(raised.value), raised.value.args, raised.value.__suppress_context__)
        )
    assert len({answer[:3] for answer in answers}) == 1


def test_the_last_letter_has_one_form():
    """The bits that base64 does not use must be zero, or one MAC would have several texts."""
    for size in range(3):
        text = signed(token.payload(claim(gate="lead" + "x" * size)))
        same = [text[:-1] + one for one in string.ascii_letters + string.digits + "-_" if one != text[-1]]
        assert accepted(text).gate == "lead" + "x" * size
        for one in same:
            with pytest.raises(TokenInvalidError):
                accepted(one)


def test_no_letter_is_lost_at_the_end():
    """A link that is cut short by a letter, for one MAC in many, is an approver who cannot approve."""
    for size in range(3):
        payload = token.payload(claim(gate="lead" + "x" * size))
        for last in range(256):
            mac = b"m" * (token.MAC_BYTES - 1) + bytes([last])
            assert token.read(token.write(payload, mac), now=AT, epoch=EPOCH)[1:] == (payload, mac)


FIELDS = list(msgspec.to_builtins(claim()))
FIELDS[7] = bytes.fromhex(DIGEST)


def packed(*fields: Any) -> bytes:
    """Return fields as MessagePack."""
    return msgspec.msgpack.encode(fields)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(packed(*FIELDS, "more"), id="one field more"),
        pytest.param(packed(*FIELDS[:-1]), id="one field less"),
        pytest.param(packed(2, *FIELDS[1:]), id="another form"),
        pytest.param(packed(True, *FIELDS[1:]), id="true for one"),
        pytest.param(packed(1.0, *FIELDS[1:]), id="a float for one"),
        pytest.param(packed("1", *FIELDS[1:]), id="text for one"),
        pytest.param(packed(1, "root", *FIELDS[2:]), id="another keyring"),
        pytest.param(packed(*FIELDS[:7], DIGEST, *FIELDS[8:]), id="digest as text"),
        pytest.param(packed(*FIELDS[:8], None, *FIELDS[9:]), id="never expires"),
        pytest.param(packed(*FIELDS[:8], 1e300, *FIELDS[9:]), id="expires in a float"),
        pytest.param(msgspec.msgpack.encode(dict(enumerate(FIELDS))), id="a map"),
        pytest.param(packed(*FIELDS) + b"\xc0", id="bytes after"),
        pytest.param(b"\xdc\x00\x0a" + packed(*FIELDS)[1:], id="longer array head"),
        pytest.param(b"\xdd\x00\x00\x00\x0a" + packed(*FIELDS)[1:], id="longest array head"),
        pytest.param(packed(*FIELDS)[:1] + b"\xcc\x01" + packed(*FIELDS)[2:], id="longer integer"),
        pytest.param(packed(*FIELDS)[:1] + b"\xd0\x01" + packed(*FIELDS)[2:], id="signed integer"),
        pytest.param(packed(*FIELDS).replace(b"\xa4lead", b"\xd9\x04lead", 1), id="longer text head"),
        pytest.param(packed(*FIELDS).replace(b"\xa4lead", b"\xa4le\xffd", 1), id="no UTF-8"),
        pytest.param(b"\x9b" + packed(*FIELDS)[1:] + b"\x91" * 900 + b"\xc0", id="nested deep"),
        pytest.param(b"\x91" * 1000 + b"\xc0", id="nothing but nesting"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="four thousand million fields"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="the one unused byte"),
        pytest.param(b'{"form":1}', id="JSON"),
    ],
)
def test_a_good_mac_does_not_excuse_a_bad_form(payload: bytes):
    """Even who holds the key can write a claim in one way only."""
    assert payload != token.payload(claim())
    with pytest.raises(TokenInvalidError):
        accepted(signed(payload))


def test_the_canonical_form_is_what_the_builder_of_these_attacks_believes():
    """If the fields were laid out otherwise, the attacks above would prove nothing."""
    assert packed(*FIELDS) == token.payload(claim())


def test_no_single_letter_can_be_changed():
    """Every place of the token, every other letter: none of them verifies."""
    letters = string.ascii_letters + string.digits + "-_=. %\0\n"
    for place in range(len(TOKEN)):
        for letter in letters:
            if letter != TOKEN[place]:
                with pytest.raises(TokenInvalidError):
                    accepted(TOKEN[:place] + letter + TOKEN[place + 1 :])


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "replace", "swap", "double"]),
        st.integers(min_value=0, max_value=len(TOKEN)),
        st.characters() | st.sampled_from(string.ascii_letters + string.digits + "-_=%"),
    ),
    min_size=1,
    max_size=6,
)


def edited(text: str, edits: list[tuple[str, int, str]]) -> str:
    """Return the text after some edits."""
    for kind, place, letter in edits:
        before, after = text[:place], text[place:]
        if kind == "insert":
            text = before + letter + after
        elif kind == "delete":
            text = before + after[1:]
        elif kind == "replace":
            text = before + letter + after[1:]
        elif kind == "swap":
            text = before + after[1:2] + after[:1] + after[2:]
        else:
            text = before + after[:1] + after
    return text


@settings(max_examples=500)
@given(EDITS)
def test_no_mutation_verifies(edits: list[tuple[str, int, str]]):
    """Hundreds of edits of a true token: each is refused, or undid itself."""
    text = edited(TOKEN, edits)
    if text != TOKEN:
        with pytest.raises(TokenInvalidError):
            accepted(text)


@settings(max_examples=1000)
@given(st.binary(max_size=400))
def test_no_bytes_are_read_as_two_things(body: bytes):
    """Whatever bytes come, they are refused by name or are the one form of what they say."""
    text = written(body)
    try:
        said, payload, mac = token.read(text, now=AT, epoch=EPOCH)
    except TokenInvalidError:
        return
    assert token.write(token.payload(said), mac) == text
    assert payload == token.payload(said)


@settings(max_examples=500)
@given(
    st.builds(
        claim,
        keys=st.sampled_from(["people", "hook"]),
        launch=st.text(max_size=40),
        gate=st.text(max_size=40),
        round=st.integers(min_value=0, max_value=2**32),
        actor=st.builds(Actor, st.text(max_size=60), st.text(max_size=60)),
    )
)
def test_every_claim_comes_back(said: Claim):
    """Names of any script survive the way out and back."""
    assert accepted(signed(token.payload(said))) == said


def test_the_longest_names_that_a_bundle_may_have_fit():
    """A person whose link could never be read would wait at a gate that they cannot decide."""
    longest = bundle.LONGEST_NAME
    said = claim(
        actor=Actor("i" * longest["issuer"], "s" * longest["subject"]),
        gate="g" * longest["gate"],
        round=2**31,
        epoch=2**31,
    )
    text = signed(token.payload(said))
    assert token.read(text, now=AT, epoch=2**31)[0] == said
