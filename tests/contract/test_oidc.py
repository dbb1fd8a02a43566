"""Which bearer tokens prove who is asking, and how little a false one can do."""

from __future__ import annotations

import base64
import json
import random
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gonogo.core.errors import IssuerUnavailableError, NotAuthenticatedError
from gonogo.oidc import COOLDOWN, FRESH, KEYS_LIMIT, LEEWAY, STALE, TOKEN_LIMIT, Issuer, Oidc, fetch_keys
from tests.contract.receiver import Authority, Receiver, Talk, code, new_authority, say

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
T = int(NOW.timestamp())
ISSUER = "https://id.example.com/tenant"
OTHER = "https://id.example.org/"
AUDIENCE = "gonogo"
URI = "https://id.example.com/keys"
GONE = object()
"""Takes a claim or a header away."""


class Signer(msgspec.Struct, frozen=True):
    """A private key that signs tokens, and its public half as issuers publish it."""

    algorithm: str
    private: Any
    jwk: dict[str, Any]

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> str:
        """Return a token that is right but for these claims and headers, or with this body."""
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "iat": T - 60, "exp": T + 600}
        head = {"alg": self.algorithm, "kid": self.jwk["kid"], "typ": "JWT"}
        if body is None:
            body = dumped(usual, claims or {})
        signed = f"{b64(dumped(head, headers or {}))}.{b64(body)}"
        named = (headers or {}).get("alg")
        algorithm = jwt.get_algorithm_by_name(named if named in OTHER_USES else self.algorithm)
        return f"{signed}.{b64(algorithm.sign(signed.encode(), self.private))}"


OTHER_USES = ("RS512", "PS256")
"""What else an RSA key could sign."""


def dumped(usual: Mapping[str, Any], changes: Mapping[str, Any]) -> bytes:
    """Return the JSON of the usual members with these changes."""
    return json.dumps({name: v for name, v in {**usual, **changes}.items() if v is not GONE}).encode()


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def new_signer(algorithm: str, kid: str) -> Signer:
    """Make a key."""
    jwk: Any
    private: Any
    match algorithm:
        case "RS256":
            private = rsa.generate_private_key(65537, 2048)
            jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
            jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case _:
            private = ed25519.Ed25519PrivateKey.generate()
            jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return Signer(algorithm, private, {"kty": jwk["kty"], **jwk, "kid": kid, "use": "sig"})


RSA, EC, ED = (new_signer(algorithm, algorithm) for algorithm in ("RS256", "ES256", "EdDSA"))
STRANGER = new_signer("EdDSA", "EdDSA")
"""Signs under a `kid` that is ours."""
NEIGHBOUR = new_signer("EdDSA", "neighbour")
"""The key of the other trusted issuer."""
KEYS = {"keys": [signer.jwk for signer in (RSA, EC, ED)]}
OIDC = Oidc(
    [
        Issuer(ISSUER, AUDIENCE, keys=KEYS),
        Issuer(ISSUER, "gonogo-cli", keys=KEYS),
        Issuer(OTHER, AUDIENCE, keys={"keys": [NEIGHBOUR.jwk]}),
    ]
)


def refused(token: Any, now: datetime = NOW, oidc: Oidc = OIDC) -> None:
    """Expect the one refusal there is."""
    with pytest.raises(NotAuthenticatedError) as caught:
        oidc.verify(token, now)
    assert str(caught.value) == "The bearer token is not valid."
    log = "".join(traceback.format_exception(caught.value))
    assert not [part for part in str(token).split(".") if len(part) > 20 and part in log]


class TestAccepted:
    """What proves who is asking."""

    @pytest.mark.parametrize("signer", [RSA, EC, ED])
    def test_each_algorithm(self, signer: Signer) -> None:
        """Each of the three kinds of key that issuers use is understood."""
        claims = OIDC.verify(signer.token(), NOW)
        assert (claims.issuer, claims.subject, claims.claims) == (ISSUER, "u-1", {})

    def test_each_issuer(self) -> None:
        """The same subject at two issuers is two actors, so the issuer is part of the answer."""
        claims = OIDC.verify(NEIGHBOUR.token({"iss": OTHER}), NOW)
        assert (claims.issuer, claims.subject) == (OTHER, "u-1")

    @pytest.mark.parametrize(
        "audience", ["gonogo-cli", ["gonogo"], ["userinfo", "gonogo"], ["gonogo-cli", "x"]]
    )
    def test_each_audience(self, audience: object) -> None:
        """A token may be meant for several audiences, and an issuer may know us by several names."""
        assert OIDC.verify(ED.token({"aud": audience}), NOW).subject == "u-1"

    @pytest.mark.parametrize("kind", [GONE, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
    def test_each_type(self, kind: object) -> None:
        """Issuers differ in how they name the type of a token."""
        assert OIDC.verify(ED.token(headers={"typ": kind}), NOW).subject == "u-1"

    def test_headers_of_real_issuers(self) -> None:
        """Some issuers name their certificate in the header, which changes nothing."""
        assert OIDC.verify(RSA.token(headers={"x5t": "abc", "x5c": ["abc"]}), NOW).subject == "u-1"

    def test_no_kid(self) -> None:
        """An issuer with one key need not name it (OpenID Connect Core 1.0, section 10.1)."""
        assert OIDC.verify(ED.token(headers={"kid": GONE}), NOW).subject == "u-1"

    def test_lists_only(self) -> None:
        """A group called `a,approvers` must never become the group `approvers`, so nothing is ever split."""
        claims = {
            "groups": ["developers", "a,approvers"],
            "none": [],
            "cognito:groups": "a,approvers",
            "spaced": "developers approvers",
            "json": '["approvers"]',
            "mixed": ["approvers", 1],
            "nested": [["approvers"]],
            "object": {"approvers": True},
            "realm_access": {"roles": ["approvers"]},
            "numbers": [1],
            "null": None,
            "half": ["\ud800"],
            "admin": True,
        }
        expected = {"groups": ("developers", "a,approvers"), "none": ()}
        assert OIDC.verify(ED.token({**claims, "aud": [AUDIENCE]}), NOW).claims == expected

    @pytest.mark.parametrize(
        "claims",
        [
            {"exp": T - LEEWAY + 1},
            {"exp": T + 0.5},
            {"iat": T + LEEWAY},
            {"nbf": T + LEEWAY},
            {"nbf": T - 60},
            {"iat": 0},
        ],
    )
    def test_clocks_differ(self, claims: dict[str, Any]) -> None:
        """The issuer's clock and ours are never the same to the second."""
        assert OIDC.verify(ED.token(claims), NOW).subject == "u-1"

    def test_own_clock(self) -> None:
        """The time is the caller's to say: no clock is read behind its back."""
        then = NOW - timedelta(days=9999)
        token = ED.token({"iat": T - 9999 * 86400, "exp": T - 9999 * 86400 + 60})
        assert OIDC.verify(token, then).subject == "u-1"
        refused(ED.token(), NOW + timedelta(days=9999))

    def test_naive_time(self) -> None:
        """A time without a zone would be another moment on another machine."""
        with pytest.raises(ValueError, match="aware"):
            OIDC.verify(ED.token(), NOW.replace(tzinfo=None))


class TestRefused:
    """What proves nothing."""

    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": GONE},
            {"iss": None},
            {"iss": 1},
            {"iss": [ISSUER]},
            {"iss": {ISSUER: 1}},
            {"iss": "https://id.example.net"},
            {"iss": ISSUER + "/"},
            {"iss": ISSUER.upper()},
            {"iss": " " + ISSUER},
            {"iss": OTHER},
            {"aud": GONE},
            {"aud": None},
            {"aud": ""},
            {"aud": "gonog"},
            {"aud": "GONOGO"},
            {"aud": "gonogo,other"},
            {"aud": "other gonogo"},
            {"aud": []},
            {"aud": ["other"]},
            {"aud": ["gonogo", 1]},
            {"aud": ["gonogo", None]},
            {"aud": [["gonogo"]]},
            {"aud": {"gonogo": 1}},
            {"aud": 1},
            {"sub": GONE},
            {"sub": None},
            {"sub": ""},
            {"sub": 1},
            {"sub": True},
            {"sub": ["u-1"]},
            {"sub": {"u": 1}},
            {"sub": "u" * 256},
            {"sub": "u-1\x00"},
            {"sub": "u-1\n"},
            {"sub": "u-1\u202e"},
            {"sub": "\ud800"},
            {"exp": GONE},
            {"exp": None},
            {"exp": T - LEEWAY},
            {"exp": 0},
            {"exp": -1},
            {"exp": True},
            {"exp": str(T + 600)},
            {"exp": [T + 600]},
            {"exp": {"$date": T + 600}},
            {"exp": 10**400},
            {"iat": GONE},
            {"iat": None},
            {"iat": T + LEEWAY + 1},
            {"iat": False},
            {"iat": "yesterday"},
            {"nbf": T + LEEWAY + 1},
            {"nbf": None},
            {"nbf": False},
            {"nbf": "0"},
            {"jti": 1},
        ],
    )
    def test_claims(self, claims: dict[str, Any]) -> None:
        """A rightly signed token must also be from, for and about whom it should be, and of now."""
        refused(ED.token(claims))

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b'"x"',
            b"{",
            b"\xff\xfe{}",
            b"\xef\xbb\xbf{}",
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":NaN}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":Infinity}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":9999999999,"x":NaN}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":1e999}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":-Infinity,"exp":9999999999}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-2","sub":"u-1","iat":1,"exp":9999999999}',
            b'{"iss":"https://x","iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":9999999999}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":9999999999,"x":{"a":1,"a":2}}',
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":9999999999,"x":' + b"[" * 5000 + b"}",
            b'{"iss":"%(i)s","aud":"gonogo","sub":"u-1","iat":1,"exp":' + b"9" * 5000 + b"}",
        ],
    )
    def test_bodies(self, body: bytes) -> None:
        """JSON that two parsers may read differently, or that one chokes on, is refused like any other."""
        refused(ED.token(body=body.replace(b"%(i)s", ISSUER.encode())))

    def test_the_strict_body_is_accepted(self) -> None:
        """The bodies above are refused for what is wrong in them, not for how they are written."""
        body = f'{{"iss":"{ISSUER}","aud":"gonogo","sub":"u-1","iat":1,"exp":9999999999}}'
        assert OIDC.verify(ED.token(body=body.encode()), NOW).subject == "u-1"

    @pytest.mark.parametrize(
        "headers",
        [
            {"alg": GONE},
            {"alg": None},
            {"alg": "none"},
            {"alg": "None"},
            {"alg": ""},
            {"alg": "HS256"},
            {"alg": "RS256"},
            {"alg": "ES256"},
            {"alg": "eddsa"},
            {"alg": ["EdDSA"]},
            {"alg": {"EdDSA": 1}},
            {"alg": True},
            {"typ": "JWE"},
            {"typ": "secevent+jwt"},
            {"typ": "dpop+jwt"},
            {"typ": ""},
            {"typ": None},
            {"typ": 1},
            {"typ": ["JWT"]},
            {"kid": "unknown"},
            {"kid": "neighbour"},
            {"kid": ""},
            {"kid": "../../dev/null"},
            {"kid": 1},
            {"kid": ["EdDSA"]},
            {"kid": {"EdDSA": 1}},
            {"kid": True},
            {"crit": ["exp"]},
            {"crit": ["b64"], "b64": True},
            {"crit": ["b64"], "b64": False},
            {"crit": []},
            {"crit": None},
            {"b64": False},
            {"b64": True},
        ],
    )
    def test_headers(self, headers: dict[str, Any]) -> None:
        """The header is what a stranger writes first, so only what is known to be harmless may be in it."""
        refused(ED.token(headers=headers))

    @pytest.mark.parametrize("algorithm", OTHER_USES)
    def test_other_use_of_a_key(self, algorithm: str) -> None:
        """A key is for one algorithm, though the mathematics would do for more."""
        refused(RSA.token(headers={"alg": algorithm}))

    def test_unsigned(self) -> None:
        """A token without a signature is nobody's word."""
        head, body, _ = ED.token(headers={"alg": "none"}).split(".")
        refused(f"{head}.{body}.")
        refused(f"{head}.{body}.AA")
        head, body, _ = ED.token().split(".")
        refused(f"{head}.{body}.")

    @pytest.mark.parametrize("signer", [RSA, EC, ED])
    def test_public_key_as_secret(self, signer: Signer) -> None:
        """Everybody has the public key, so it must never verify as the secret of a MAC."""
        public = signer.private.public_key()
        pem = serialization.PublicFormat.SubjectPublicKeyInfo
        secrets = [
            public.public_bytes(serialization.Encoding.PEM, pem),
            public.public_bytes(serialization.Encoding.DER, pem),
            json.dumps(signer.jwk).encode(),
            base64.urlsafe_b64decode(signer.jwk["n" if signer is RSA else "x"] + "=="),
        ]
        head, body, _ = signer.token(headers={"alg": "HS256"}).split(".")
        for secret in secrets:
            mac = jwt.get_algorithm_by_name("HS256").sign(f"{head}.{body}".encode(), secret)
            refused(f"{head}.{body}.{b64(mac)}")

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"jwk": STRANGER.jwk},
            {"jwk": STRANGER.jwk, "kid": GONE},
            {"jku": "https://evil.example/keys"},
            {"x5u": "https://evil.example/certificate"},
            {"x5c": ["MIIB"]},
            {"kid": "https://evil.example/keys"},
        ],
    )
    def test_brought_key(self, headers: dict[str, Any]) -> None:
        """A key that the token brings or points to proves only that somebody has a key."""
        refused(STRANGER.token(headers=headers))

    def test_key_of_another_issuer(self) -> None:
        """One trusted issuer must not be able to speak for another."""
        refused(NEIGHBOUR.token())
        refused(NEIGHBOUR.token(headers={"kid": "EdDSA"}))
        refused(ED.token({"iss": OTHER}))
        refused(ED.token({"iss": OTHER}, headers={"kid": "neighbour"}))

    def test_audience_of_another_issuer(self) -> None:
        """An audience counts at the issuer it was configured for, and at no other."""
        refused(NEIGHBOUR.token({"iss": OTHER, "aud": "gonogo-cli"}))

    @pytest.mark.parametrize(
        "token",
        [
            "",
            ".",
            "..",
            "...",
            "a.b",
            "a.b.c.d.e",
            "Bearer",
            "é.é.é",
            "a.b.c\n",
            "\x00.\x00.\x00",
            "A" * 5 + ".A.A",
            "e30.e30.e30",
            "bnVsbA.bnVsbA.bnVsbA",
            None,
            1,
            b"a.b.c",
            ["a.b.c"],
        ],
    )
    def test_not_a_token(self, token: Any) -> None:
        """What is no token at all is refused like a false one."""
        refused(token)

    def test_huge(self) -> None:
        """A token over the limit is refused before anybody takes it apart."""
        token = ED.token({"x": "x" * TOKEN_LIMIT})
        refused(token)
        refused("a" * 10_000_000)

    @pytest.mark.parametrize("decorate", ["{} ", " {}", "{}=", "{}==", "{}\n", "{}.", ".{}", "{0}.{0}"])
    def test_one_spelling(self, decorate: str) -> None:
        """A token has one spelling, so that nobody counts a copy of it as another."""
        refused(decorate.format(ED.token()))

    def test_mutations(self) -> None:
        """No change of a letter, no cut and no insertion keeps a token valid or raises anything else."""
        source = random.Random(20260504)  # noqa: S311 - reproducible, not secret
        letters = "ABCXYZabcxyz0189-_.=+/ é\x00"
        tokens = [signer.token({"groups": ["developers"]}) for signer in (EC, ED)]
        for _ in range(1500):
            token = source.choice(tokens)
            at = source.randrange(len(token))
            cut = source.choice((0, 1, 1, 1, 3))
            changed = token[:at] + source.choice(letters) * source.choice((0, 1, 1)) + token[at + cut :]
            if changed != token:
                refused(changed)

    @pytest.mark.parametrize("segment", [0, 1])
    def test_swapped_parts(self, segment: int) -> None:
        """The parts of two valid tokens do not make a third."""
        parts, others = ED.token().split("."), EC.token({"sub": "u-2"}).split(".")
        parts[segment] = others[segment]
        refused(".".join(parts))


class Clerk:
    """An issuer's key address that counts how often it is asked."""

    def __init__(self, *signers: Signer) -> None:
        self.asked = 0
        self.answer: bytes | Exception = keys_of(*signers)

    def __call__(self, uri: str) -> bytes:
        assert uri == URI
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def keys_of(*signers: Signer) -> bytes:
    """Return a JWK set."""
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()


def asking(clerk: Clerk) -> Oidc:
    """Return a verifier that asks this clerk for the keys of the issuer."""
    return Oidc([Issuer(ISSUER, AUDIENCE, URI), Issuer(OTHER, AUDIENCE, keys=KEYS)], fetch=clerk)


class TestKeys:
    """When an issuer is asked for its keys."""

    def test_once(self) -> None:
        """A verifier at work asks for the keys now and then, not for each token."""
        clerk = Clerk(ED, EC)
        oidc = asking(clerk)
        for _ in range(20):
            oidc.verify(ED.token(), NOW)
            oidc.verify(EC.token(), NOW + FRESH - timedelta(seconds=1))
        assert clerk.asked == 1
        oidc.verify(ED.token(), NOW + FRESH)
        assert clerk.asked == 2

    @pytest.mark.parametrize(
        "token",
        [
            ED.token({"iss": "https://evil.example"}),
            ED.token({"iss": OTHER}),
            ED.token({"aud": "other"}),
            ED.token({"iss": GONE}),
            ED.token(headers={"alg": "none"}),
            ED.token(headers={"crit": ["x"]}),
            ED.token(headers={"typ": "x"}),
            ED.token(headers={"kid": 1}),
            "a.b.c",
        ],
    )
    def test_not_for_strangers(self, token: str) -> None:
        """A token that cannot be good for us makes us ask nobody anything."""
        clerk = Clerk(ED)
        with pytest.raises(NotAuthenticatedError):
            asking(clerk).verify(token + "x", NOW)
        assert clerk.asked == 0

    def test_unknown_kid(self) -> None:
        """A stranger who invents key names cannot make us hammer the issuer."""
        clerk = Clerk(ED)
        oidc = asking(clerk)
        for number in range(200):
            refused(ED.token(headers={"kid": f"k{number}"}), NOW + timedelta(milliseconds=100 * number), oidc)
        assert clerk.asked == 1
        refused(ED.token(headers={"kid": "k"}), NOW + COOLDOWN, oidc)
        assert clerk.asked == 2

    def test_rotation(self) -> None:
        """A new key counts as soon as the issuer may be asked again, and an old one until it is gone."""
        clerk = Clerk(ED)
        oidc = asking(clerk)
        oidc.verify(ED.token(), NOW)
        clerk.answer = keys_of(EC)
        refused(EC.token(), NOW + COOLDOWN / 2, oidc)
        assert oidc.verify(EC.token(), NOW + COOLDOWN).subject == "u-1"
        refused(ED.token(), NOW + COOLDOWN, oidc)

    def test_withdrawn_key(self) -> None:
        """A key that the issuer withdrew stops counting though nobody uses a new one yet."""
        clerk = Clerk(ED, EC)
        oidc = asking(clerk)
        oidc.verify(ED.token(), NOW)
        clerk.answer = keys_of(EC)
        refused(ED.token(), NOW + FRESH, oidc)

    @pytest.mark.parametrize(
        "answer",
        [
            OSError("down"),
            TimeoutError(),
            IssuerUnavailableError("down"),
            b"",
            b"<html>",
            b"\xff",
            b"null",
            b"[]",
            b"{}",
            b'{"keys":null}',
            b'{"keys":{}}',
            b'{"keys":[]}',
            b'{"keys":[null,1,"x",[]]}',
            b'{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"EdDSA","alg":"HS256"}]}',
            b'{"keys":[{"kty":["RSA"]},{"kty":"RSA"},{"kty":"RSA","n":1,"e":2},{"kty":"EC","crv":"P-256"}]}',
            b"[" * 100_000,
        ],
    )
    def test_issuer_down(self, answer: bytes | Exception) -> None:
        """An issuer that is down is not the caller's fault, is said so, and is not asked at every token."""
        clerk = Clerk()
        clerk.answer = answer
        oidc = asking(clerk)
        for second in range(5):
            with pytest.raises(IssuerUnavailableError) as caught:
                oidc.verify(ED.token(), NOW + timedelta(seconds=second))
            assert caught.value.retry_after == COOLDOWN.total_seconds()
        assert clerk.asked == 1
        clerk.answer = keys_of(ED)
        assert oidc.verify(ED.token(), NOW + COOLDOWN).subject == "u-1"

    def test_short_outage(self) -> None:
        """An outage of the issuer does not shut all out at once, but keys of unknown standing soon do."""
        clerk = Clerk(ED)
        oidc = asking(clerk)
        token = ED.token({"exp": T + 86400})
        oidc.verify(token, NOW)
        clerk.answer = OSError("down")
        assert oidc.verify(token, NOW + STALE - timedelta(seconds=1)).subject == "u-1"
        with pytest.raises(IssuerUnavailableError):
            oidc.verify(token, NOW + STALE + COOLDOWN)
        clerk.answer = keys_of(ED)
        assert oidc.verify(token, NOW + STALE + 2 * COOLDOWN).subject == "u-1"

    def test_new_kid_in_an_outage(self) -> None:
        """Whether an unknown key is good cannot be told in an outage, so the token is not called false."""
        clerk = Clerk(ED)
        oidc = asking(clerk)
        oidc.verify(ED.token(), NOW)
        clerk.answer = OSError("down")
        with pytest.raises(IssuerUnavailableError):
            oidc.verify(EC.token(), NOW + COOLDOWN)
        assert oidc.verify(ED.token(), NOW + COOLDOWN).subject == "u-1"

    def test_clock_set_back(self) -> None:
        """A clock that jumps back must not keep old keys for ever."""
        clerk = Clerk(ED)
        oidc = asking(clerk)
        oidc.verify(ED.token(), NOW + timedelta(seconds=100))
        oidc.verify(ED.token(), NOW)
        assert clerk.asked == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"use": "enc"},
            {"alg": "RS512"},
            {"alg": "HS256"},
            {"alg": ["EdDSA"]},
            {"key_ops": ["sign"]},
            {"key_ops": "verify"},
            {"kid": 1},
            {"kid": ["EdDSA"]},
            {"crv": "Ed448"},
            {"crv": "X25519"},
            {"x": "AA"},
            {"kty": "EC"},
            {"kty": "oct"},
        ],
    )
    def test_unfit_key(self, change: dict[str, Any]) -> None:
        """A key that is published for another purpose verifies no token."""
        oidc = Oidc([Issuer(ISSUER, AUDIENCE, keys={"keys": [{**ED.jwk, **change}]})])
        refused(ED.token(), oidc=oidc)

    @pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
    def test_weak_key(self) -> None:
        """What a key signs that can be broken, proves nothing (RFC 7518, section 3.3: 2048 bits for RSA)."""
        private = rsa.generate_private_key(65537, 1024)  # noqa: S505 - as weak as it is meant to be
        jwk: Any = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        weak = Signer("RS256", private, {**jwk, "kid": "weak"})
        refused(weak.token(), oidc=Oidc([Issuer(ISSUER, AUDIENCE, keys={"keys": [weak.jwk]})]))

    def test_ambiguous_key(self) -> None:
        """Where two keys could be meant, none is guessed."""
        oidc = Oidc([Issuer(ISSUER, AUDIENCE, keys={"keys": [ED.jwk, {**STRANGER.jwk, "kid": "second"}]})])
        refused(ED.token(headers={"kid": GONE}), oidc=oidc)
        assert oidc.verify(ED.token(), NOW).subject == "u-1"

    def test_private_part(self) -> None:
        """The private part of a key is never read, though somebody put it among the public keys."""
        oidc = Oidc([Issuer(ISSUER, AUDIENCE, keys={"keys": [{**ED.jwk, "d": STRANGER.jwk["x"]}]})])
        assert oidc.verify(ED.token(), NOW).subject == "u-1"

    def test_nobody_trusted(self) -> None:
        """Without an issuer nobody can sign in."""
        refused(ED.token(), oidc=Oidc([]))


class TestIssuers:
    """Whom one may choose to trust."""

    @pytest.mark.parametrize(
        "issuer",
        [
            ("http://id.example.com", AUDIENCE, URI),
            ("http://localhost", AUDIENCE, URI),
            (ISSUER, AUDIENCE, "http://id.example.com/keys"),
            (ISSUER, AUDIENCE, "file:///etc/passwd"),
            (ISSUER, AUDIENCE, ""),
            (ISSUER, AUDIENCE, None, None),
            (ISSUER, AUDIENCE, URI, KEYS),
            (ISSUER, "", URI),
            ("", AUDIENCE, URI),
            ("id.example.com", AUDIENCE, URI),
            ("https://", AUDIENCE, URI),
            ("https://id.example.com#a", AUDIENCE, URI),
            ("https://id.example.com?a", AUDIENCE, URI),
            ("https://u:p@id.example.com", AUDIENCE, URI),
            ("https://id.example.com/ä", AUDIENCE, URI),
            ("https://id.example.com/ ", AUDIENCE, URI),
            ("ftp://gonogo.local", AUDIENCE, None, KEYS),
            ("gonogo", AUDIENCE, None, KEYS),
        ],
    )
    def test_unfit(self, issuer: tuple[Any, ...]) -> None:
        """An issuer that anybody on the way could speak for is refused when it is configured."""
        with pytest.raises(ValueError, match=r"issuer|jwks_uri|audience"):
            Issuer(*issuer)

    def test_on_one_machine(self) -> None:
        """An issuer whose keys were handed over needs no certificate, so it may be http."""
        oidc = Oidc([Issuer("http://gonogo.local", AUDIENCE, keys=KEYS)])
        assert oidc.verify(ED.token({"iss": "http://gonogo.local"}), NOW).issuer == "http://gonogo.local"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the authority that vouches for the issuer's address."""
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def receive(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Talk], Receiver]]:
    """Start issuers that this process trusts, and stop them in the end."""
    started: list[Receiver] = []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file()))

    def start(talk: Talk) -> Receiver:
        started.append(Receiver(talk, authority.serves(x509.DNSName("localhost"))))
        return started[-1]

    yield start
    for receiver in started:
        receiver.close()


def address(receiver: Receiver) -> str:
    """Return where the receiver's keys are."""
    return f"https://localhost:{receiver.port}/keys"


class TestFetching:
    """How the keys come over the wire."""

    def test_fetched(self, receive: Callable[[Talk], Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
        """The keys come from the address that was configured, with no proxy of the environment between."""
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        keys = keys_of(ED)
        receiver = receive(say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(keys), keys)))
        oidc = Oidc([Issuer(ISSUER, AUDIENCE, address(receiver))])
        assert oidc.verify(ED.token(), NOW).subject == "u-1"
        assert receiver.requests[0].line == "GET /keys HTTP/1.1"

    def test_redirect(self, receive: Callable[[Talk], Receiver]) -> None:
        """A redirect would let the keys come from where nobody said they would."""
        elsewhere = receive(code(200))
        receiver = receive(code(302, f"Location: {address(elsewhere)}"))
        with pytest.raises(IssuerUnavailableError):
            fetch_keys(address(receiver))
        assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        "talk",
        [
            code(200),
            code(404),
            code(500),
            code(204),
            say(b""),
            say(b"nonsense\r\n\r\n"),
            say(b"HTTP/1.1 200 OK\r\n\r\n" + keys_of(ED) + b" " * KEYS_LIMIT),
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"),
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}"),
        ],
    )
    def test_no_keys(self, talk: Talk, receive: Callable[[Talk], Receiver]) -> None:
        """Whatever else the address answers, it is the issuer that is out of order, and no other error."""
        oidc = Oidc([Issuer(ISSUER, AUDIENCE, address(receive(talk)))])
        with pytest.raises(IssuerUnavailableError):
            oidc.verify(ED.token(), NOW)

    def test_false_issuer(
        self, receive: Callable[[Talk], Receiver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Keys from somebody who only claims to be the issuer are never used."""
        receiver = receive(code(200))
        monkeypatch.setenv("SSL_CERT_FILE", str(new_authority(tmp_path).file()))
        with pytest.raises(IssuerUnavailableError):
            fetch_keys(address(receiver))
        assert receiver.requests == []
