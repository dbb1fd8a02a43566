"""Tokens, signatures and bearers that somebody made up or changed: thousands in each run, and none is taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gonogo import webhook
from gonogo.core import token
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.errors import NotAuthenticatedError, TokenInvalidError
from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest
from gonogo.oidc import Issuer, Oidc
from gonogo.service import decide, identity, submit
from local import issuer as issuers
from tests import memory
from tests.core.builders import policy_files
from tests.hostile.corpus import TEXTS, many, seed

COUNT = "GONOGO_FORGED"
HOOK_KEY = memory.Macs().rings["hook"][0]
"""Good for hooks, and for no link that a person is mailed."""
ALGORITHMS = ("none", "None", "HS256", "ES384", "")
LETTERS = string.ascii_letters + string.digits + "-_"
URLSAFE = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
STRANGE = LETTERS + "=+/. %\0\n\r\t\u200b\u0430\uff21"


def count(share: int = 1) -> int:
    """Return how many are tried: 20,000 or what GONOGO_FORGED says, or a share of it."""
    return max(1, many(COUNT, 20_000, 1_000_000) // share)


def counted(record: Callable[[str, object], None], what: str, tried: int, number: int) -> None:
    """Have the count printed at the end, with the seed that makes the same again."""
    record("hostile", f"{tried:,} {what} (GONOGO_SEED={number}), none accepted")


def raw_of(text: str) -> bytes:
    """Return the bytes of a token."""
    body = text.removeprefix(token.PREFIX)
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def written(raw: bytes) -> str:
    """Return bytes as a token."""
    return token.PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Makes tokens out of good ones, without the key."""

    def __init__(self, chance: random.Random, good: Sequence[str], key: bytes) -> None:
        self._chance, self._good, self._other = chance, good, key
        self.ways: list[Callable[[str], str]] = [
            self.letter,
            self.bit,
            self.inserted,
            self.deleted,
            self.swapped,
            self.cut,
            self.grown,
            self.recased,
            self.padded,
            self.spliced,
            self.other_claim,
            self.signed_by_another,
            self.hashed,
            self.weak_mac,
            self.made_up,
            self.reencoded,
            self.doubled,
            self.around,
            self.respelled,
            self.widened,
        ]

    def forge(self) -> tuple[str, str]:
        """Return a token that is none, and the way that it was made."""
        way = self._chance.choice(self.ways)
        return way(self._chance.choice(self._good)), way.__name__

    def _at(self, text: Sequence[Any]) -> int:
        return self._chance.randrange(len(text))

    def letter(self, text: str) -> str:
        place = self._at(text)
        return text[:place] + self._chance.choice(STRANGE) + text[place + 1 :]

    def bit(self, text: str) -> str:
        raw = bytearray(raw_of(text))
        for _ in range(self._chance.randint(1, 3)):
            raw[self._at(raw)] ^= 1 << self._chance.randrange(8)
        return written(bytes(raw))

    def inserted(self, text: str) -> str:
        place = self._chance.randint(0, len(text))
        return text[:place] + self._chance.choice(STRANGE) + text[place:]

    def deleted(self, text: str) -> str:
        place = self._at(text)
        return text[:place] + text[place + self._chance.randint(1, 4) :]

    def swapped(self, text: str) -> str:
        place = self._at(text[1:])
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    def cut(self, text: str) -> str:
        raw = raw_of(text)
        return self._chance.choice([text[: self._at(text)], written(raw[: self._at(raw)])])

    def grown(self, text: str) -> str:
        return text + "".join(self._chance.choices(STRANGE, k=self._chance.randint(1, 8)))

    def recased(self, text: str) -> str:
        place = self._at(text)
        return text[:place] + text[place:].swapcase()

    def padded(self, text: str) -> str:
        return (
            self._chance.choice(["", " ", "\t", "\ufeff"])
            + text
            + self._chance.choice(["=", "==", "\n", " ", "%3D"])
        )

    def spliced(self, text: str) -> str:
        other = raw_of(self._chance.choice(self._good))
        return written(raw_of(text)[: -token.MAC_BYTES] + other[-token.MAC_BYTES :])

    def _changed(self, text: str) -> bytes:
        claim = msgspec.msgpack.decode(raw_of(text)[: -token.MAC_BYTES], type=token.Claim)
        field = self._chance.choice(claim.__struct_fields__)
        now = getattr(claim, field)
        if isinstance(now, int):
            value: Any = now + self._chance.choice([-1, 1, 3600, 10**6])
        elif isinstance(now, bytes):
            value = self._chance.randbytes(32)
        else:
            value = self._chance.choice([now + "x", "hook", "ops", "finance", now.upper(), now[:-1]])
        return token.payload(msgspec.structs.replace(claim, **{field: value}))

    def other_claim(self, text: str) -> str:
        return written(self._changed(text) + raw_of(text)[-token.MAC_BYTES :])

    def signed_by_another(self, text: str) -> str:
        if self._chance.randrange(2):
            payload, key = raw_of(text)[: -token.MAC_BYTES], self._other
        else:
            payload, key = (
                self._changed(text),
                self._chance.choice([b"", b"\0" * 32, self._chance.randbytes(32)]),
            )
        return token.write(payload, hmac.digest(key, payload, "sha256"))

    def hashed(self, text: str) -> str:
        payload = self._changed(text)
        return token.write(payload, hashlib.sha256(payload).digest())

    def weak_mac(self, text: str) -> str:
        payload, mac = raw_of(text)[: -token.MAC_BYTES], raw_of(text)[-token.MAC_BYTES :]
        weak = [b"", b"\0" * 32, mac[::-1], mac[:16], mac + mac, self._chance.randbytes(32), mac[:-1]]
        return written(payload + self._chance.choice(weak))

    def made_up(self, _text: str) -> str:
        return written(self._chance.randbytes(self._chance.randint(0, 300)))

    def reencoded(self, text: str) -> str:
        raw = raw_of(text)
        made = [
            base64.b64encode(raw).decode() + "=",
            base64.b32encode(raw).decode(),
            raw.hex(),
            raw.decode("latin-1"),
        ]
        return token.PREFIX + self._chance.choice(made)

    def doubled(self, text: str) -> str:
        return text + self._chance.choice([text, text[4:], "." + text, "," + text])

    def around(self, text: str) -> str:
        return self._chance.choice(
            [text[4:], f'"{text}"', f"decide#{text}", self._chance.choice(list(TEXTS.values()))]
        )

    def respelled(self, text: str) -> str:
        """Return the same bytes, spelled otherwise: RFC 4648, 3.5 calls the bits that the last letter does not use."""
        spare = {2: 4, 3: 2}.get(len(text.removeprefix(token.PREFIX)) % 4)
        if spare is None:
            return text + self._chance.choice(["=", "A", "===="])
        last = URLSAFE.index(text[-1])
        return text[:-1] + URLSAFE[last | self._chance.randrange(1, 2**spare)]

    def widened(self, text: str) -> str:
        """Return it with a letter that Unicode's compatibility forms make the same (UAX 15)."""
        place = self._chance.choice([n for n, one in enumerate(text) if one.isalnum()])
        return text[:place] + chr(ord(text[place]) + 0xFEE0) + text[place + 1 :]


def code(outside: memory.Outside, launch: Launch) -> str:
    """Return the code that the lead is mailed for a launch."""
    gate = launch.gates[0]
    assert gate.expires_at is not None
    claim = token.claim(
        keys="people",
        launch=launch.id,
        gate=gate.name,
        round=gate.round,
        actor=Actor(memory.ISSUER, "lead"),
        digest=launch.digest,
        expires_at=gate.expires_at,
        epoch=outside.epoch,
    )
    payload = token.payload(claim)
    return token.write(payload, outside.macs.make("people", payload))


def test_no_forged_token_is_accepted(record_property: Callable[[str, object], None]) -> None:
    """By the very road that the page and the API take: each is refused, in the same words, and changes nothing."""
    outside = memory.Outside(policy_files())
    dev = identity.sign_in(outside, "Bearer dev")
    good = []
    for number in range(4):
        template = "gpu-large" if number % 2 else "web-small"
        request = LaunchRequest(template=template, parameters={}, reason="why", cost_center="4711")
        good.append(code(outside, submit.submit(outside, dev, request, f"k{number}")))
    assert len(set(good)) == len(good)
    for text in good:
        assert decide.show(outside, text).actor.subject == "lead"
    number = seed()
    forger = Forger(random.Random(number), good, HOOK_KEY)
    before = {launch.id: launch.version for launch in outside.table.all(Launch)}
    seen, tried, ways = set(), 0, set()
    while tried < count():
        text, way = forger.forge()
        if text in good:
            continue
        tried += 1
        ways.add(way)
        with pytest.raises(TokenInvalidError) as refused:
            pytest.fail(f"GONOGO_SEED={number}: {way}: {text!r}: {decide.show(outside, text)}")
        seen.add(str(refused.value))
        if not tried % 100:
            with pytest.raises(TokenInvalidError):
                decide.by_token(outside, text, verdict="approve", digest=None, comment=None)
    assert len(seen) == 1
    assert len(ways) == len(forger.ways) or tried < 1000
    assert {launch.id: launch.version for launch in outside.table.all(Launch)} == before
    counted(record_property, "forged or changed tokens", tried, number)


def test_no_changed_signature_is_accepted(record_property: Callable[[str, object], None]) -> None:
    """What we post to a webhook is covered whole by its signature, as the standard's own library verifies it."""
    number = seed()
    chance = random.Random(number)
    secret = "whsec_" + base64.b64encode(chance.randbytes(32)).decode()
    other = "whsec_" + base64.b64encode(chance.randbytes(32)).decode()
    receiver = Webhook(secret)
    body, at = b'{"type":"notice.decide","data":{"gate":"lead"}}', datetime.now(UTC)
    good = webhook.sign(body, message_id="d-1", at=at, secrets=[secret])
    receiver.verify(body, good)
    stamp = int(good["webhook-timestamp"])
    mac = good["webhook-signature"]

    def other_letter() -> str:
        place = chance.randrange(3, len(mac) - 2)  # the last letter has bits that base64 does not use
        return mac[:place] + chance.choice(string.ascii_letters + "!") + mac[place + 1 :]

    def other_body() -> bytes:
        place = chance.randrange(len(body))
        return body[:place] + bytes([chance.randrange(256)]) + body[place + chance.randrange(2) :]

    def signed(**more: Any) -> dict[str, str]:
        whole = {"message_id": "d-1", "at": at, "secrets": [secret], **more}
        return webhook.sign(body, **whole)

    ways: list[Callable[[], tuple[bytes, dict[str, str]]]] = [
        lambda: (other_body(), good),
        lambda: (body, {**good, "webhook-signature": other_letter()}),
        lambda: (body, {**good, "webhook-id": f"d-{chance.randrange(10**6)}"}),
        lambda: (body, {**good, "webhook-id": f"d-1.{stamp}"}),
        lambda: (body, {**good, "webhook-timestamp": str(stamp + chance.choice([-1, 1, 60, -60]))}),
        lambda: (body, {**good, "webhook-signature": mac[: chance.randrange(len(mac) - 2)]}),
        lambda: (body, {**good, "webhook-signature": mac.replace("v1,", chance.choice(["v2,", "", "v1a,"]))}),
        lambda: (body, signed(secrets=[other])),
        lambda: (body, signed(at=at - timedelta(minutes=chance.randint(6, 600)))),
        lambda: (body, signed(at=at + timedelta(minutes=chance.randint(6, 600)))),
        lambda: (body + b" " * chance.randint(1, 3), good),
        lambda: (
            body,
            {**good, "webhook-signature": f"v1,{base64.b64encode(chance.randbytes(32)).decode()}"},
        ),
    ]
    tried = 0
    while tried < count():
        sent, headers = chance.choice(ways)()
        if (sent, headers) == (body, good):
            continue
        tried += 1
        with pytest.raises((WebhookVerificationError, ValueError)):  # what is no base64, say
            pytest.fail(f"GONOGO_SEED={number}: {sent!r} {headers}: {receiver.verify(sent, headers)}")
    counted(record_property, "changed webhook signatures", tried, number)


def test_no_forged_bearer_is_accepted(record_property: Callable[[str, object], None]) -> None:
    """Who signs in is who the issuer says, whatever is done to the token on the way."""
    now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    mine = issuers.Issuer(lambda: now)
    mine.people = {"dev": Person(name="dev", issuer=issuers.ISSUER, subject="dev")}
    keys = mine.jwks()
    verifier = Oidc([Issuer(issuer=issuers.ISSUER, audience=issuers.AUDIENCE, keys=keys)])
    good = mine.token("dev")
    assert verifier.verify(good, now).subject == "dev"
    number = seed()
    chance = random.Random(number)
    head, claims, mac = good.split(".")
    said = jwt.decode(good, options={"verify_signature": False})
    thief = ec.generate_private_key(ec.SECP256R1())

    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def changed() -> dict[str, Any]:
        field = chance.choice(["sub", "iss", "aud", "exp", "nbf"])
        new = {"sub": "ops", "iss": "https://elsewhere.example", "aud": "else", "exp": 1, "nbf": 2**33}
        return {**said, field: new[field]}

    def letter() -> str:
        place = chance.randrange(len(good) - 1)
        return good[:place] + chance.choice(STRANGE) + good[place + 1 :]

    ways: list[Callable[[], str]] = [
        letter,
        lambda: good[: chance.randrange(len(good) - 1)],
        lambda: f"{head}.{b64(msgspec.json.encode(changed()))}.{mac}",
        lambda: (
            f"{b64(msgspec.json.encode({'alg': chance.choice(ALGORITHMS), 'kid': 'local'}))}.{claims}.{mac}"
        ),
        lambda: f"{b64(msgspec.json.encode({'alg': 'none'}))}.{claims}.",
        lambda: jwt.encode(changed(), thief, algorithm="ES256", headers={"kid": "local"}),
        lambda: jwt.encode(said, thief, algorithm="ES256", headers={"kid": "local", "jwk": keys["keys"][0]}),
        lambda: jwt.encode(said, b64(msgspec.json.encode(keys)), algorithm="HS256", headers={"kid": "local"}),
        lambda: f"{head}.{claims}.{b64(chance.randbytes(64))}",
        lambda: f"{head}.{claims}.{b64(bytes(64))}",
        lambda: good + chance.choice(["=", ".", " ", "\n", ".x"]),
        lambda: f"{claims}.{head}.{mac}",
    ]
    tried = 0
    while tried < count(share=20):
        text = chance.choice(ways)()
        if text == good:
            continue
        tried += 1
        with pytest.raises(NotAuthenticatedError):
            pytest.fail(f"GONOGO_SEED={number}: {text!r}: {verifier.verify(text, now)}")
    counted(record_property, "forged bearers", tried, number)
