"""Knows how to tell from an OpenID Connect bearer token who is asking, and from whose word.

A token is refused by one error whatever is wrong with it; its cause names the rule, for logs only. Nobody can
make us ask an issuer that we do not trust, nor ask one that we trust more than twice a minute.
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from gonogo.core.errors import IssuerUnavailableError, NotAuthenticatedError

Fetch = Callable[[str], bytes]
"""Returns the JWK set at an address, or raises OSError or IssuerUnavailableError."""

ALGORITHMS = ("RS256", "ES256", "EdDSA")
TOKEN_LIMIT = 8 * 1024
"""Characters of a token."""
KEYS_LIMIT = 256 * 1024
"""Bytes of a JWK set."""
SUBJECT_LIMIT = 255
"""Characters of a subject (OpenID Connect Core 1.0, section 2)."""
LEEWAY = 30
"""Seconds by which the issuer's clock and ours may differ."""
FRESH = timedelta(minutes=5)
"""How long keys are used without asking whether they still hold."""
STALE = timedelta(hours=1)
"""How long they are used while the issuer does not answer."""
COOLDOWN = timedelta(seconds=30)
"""How long an issuer is left alone after it was asked, whatever tokens come in."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""RFC 7519, 5.1 and RFC 9068, 2.1; compared without case (RFC 7515, 4.1.9)."""
_HALF = re.compile("[\ud800-\udfff]")
_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")
"""What of a JWK is read: a private part that somebody left in it is not."""


class Issuer(msgspec.Struct, frozen=True):
    """Whose word counts, when it is meant for `audience`.

    Its keys are read from `jwks_uri`, or are `keys`, a JWK set (RFC 7517, section 5).

    Raises:
        ValueError: an address is not plain https (an issuer with `keys` may be http), a part is missing, or
            both ways to the keys are given.
    """

    issuer: str
    audience: str
    jwks_uri: str | None = None
    keys: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be trusted."""
        if (self.jwks_uri is None) == (self.keys is None):
            raise ValueError("an issuer has either a jwks_uri or keys")
        if not self.audience:
            raise ValueError("an issuer has an audience")
        _check_address("issuer", self.issuer, {"https"} if self.keys is None else {"https", "http"})
        if "?" in self.issuer:
            raise ValueError("an issuer has no query")
        if self.jwks_uri is not None:
            _check_address("jwks_uri", self.jwks_uri, {"https"})


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says: about whom, and those of its other claims that are lists of strings."""

    issuer: str
    subject: str
    claims: Mapping[str, tuple[str, ...]]


def fetch_keys(uri: str) -> bytes:
    """Return what is at an https address, without following a redirect or heeding a proxy setting.

    Raises:
        IssuerUnavailableError: the answer is not a 200 of at most `KEYS_LIMIT` bytes, or there is none.
    """
    import urllib3

    timeout = urllib3.Timeout(connect=3, read=3)
    try:
        with (
            urllib3.PoolManager(retries=False, timeout=timeout) as pool,
            pool.request("GET", uri, redirect=False, preload_content=False) as answer,
        ):
            raw = answer.read(KEYS_LIMIT + 1, decode_content=False)
            if answer.status != 200 or len(raw) > KEYS_LIMIT:  # noqa: PLR2004 - as RFC 9110 numbers it
                raise IssuerUnavailableError("The identity issuer did not answer with its keys.")
            return raw
    except urllib3.exceptions.HTTPError:
        raise IssuerUnavailableError("The identity issuer did not answer.") from None


class Oidc:
    """Verifies bearer tokens of these issuers."""

    def __init__(self, issuers: Sequence[Issuer], *, fetch: Fetch = fetch_keys) -> None:
        """Keep whom to trust; an issuer with several audiences is given several times."""
        by_uri = {issuer.jwks_uri: _Fetched(issuer.jwks_uri, fetch) for issuer in issuers if issuer.jwks_uri}
        self._trusted = [
            (issuer, by_uri[issuer.jwks_uri] if issuer.jwks_uri else _Given(issuer.keys or {}))
            for issuer in issuers
        ]

    def verify(self, token: str, now: datetime) -> Claims:
        """Return what `token` says, a JWT in its compact form, as of `now`.

        Raises:
            NotAuthenticatedError: it is not a valid token of one of the issuers, for us, now.
            IssuerUnavailableError: it may be, but the issuer's keys cannot be read now.
            ValueError: `now` is naive.
        """
        if now.tzinfo is None:
            raise ValueError("now: an aware datetime")
        try:
            return self._verify(token, now)
        except (IssuerUnavailableError, ImportError):
            raise
        except _BrokenRuleError as broken:
            cause = broken
        except Exception as error:  # noqa: BLE001 - an unforeseen fault in a stranger's text is a refusal, too
            cause = _BrokenRuleError(type(error).__name__)
        raise NotAuthenticatedError("The bearer token is not valid.") from cause

    def _verify(self, token: str, now: datetime) -> Claims:
        import jwt

        if len(token) > TOKEN_LIMIT or not _TOKEN.fullmatch(token):
            raise _BrokenRuleError("shape")
        head, body, _ = token.split(".")
        algorithm, kid = _read_header(_decode(head))
        # Read before it is verified, to choose whose keys shall verify it; PyJWT compares both again after.
        said = _decode(body)
        issuer, keys = self._choose(said.get("iss"), said.get("aud"))
        key = keys.find(algorithm, kid, now)
        if key is None:
            raise _BrokenRuleError("key")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=issuer.issuer,
                audience=issuer.audience,
                options={
                    "require": ["iss", "aud", "sub", "exp", "iat"],
                    "enforce_minimum_key_length": True,
                    # PyJWT reads the clock by itself, so _check_times does these three.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise _BrokenRuleError(type(error).__name__) from None
        _check_times(claims, now.timestamp())
        subject = claims["sub"]
        if not (0 < len(subject) <= SUBJECT_LIMIT and subject.isprintable()):
            raise _BrokenRuleError("sub")
        return Claims(issuer.issuer, subject, _lists(claims))

    def _choose(self, issuer: object, audience: object) -> tuple[Issuer, _Given | _Fetched]:
        audiences = audience if isinstance(audience, list) else [audience]
        for trusted, keys in self._trusted:
            if trusted.issuer == issuer and trusted.audience in audiences:
                return trusted, keys
        raise _BrokenRuleError("iss or aud")


class _BrokenRuleError(Exception):
    """Names the rule that a token breaks, and nothing of the token."""


class _Given:
    """Keys that were given once and for all."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._keys: tuple[_Key, ...] | None = None

    def find(self, algorithm: str, kid: str | None, _now: datetime) -> Any:
        """Return the key that a token names, or None."""
        if self._keys is None:
            self._keys = _read_keys(self._document)
        return _pick(self._keys, algorithm, kid)


class _Fetched:
    """Keys that are at an address, as fresh as needed and asked for as seldom as possible."""

    def __init__(self, uri: str, fetch: Fetch) -> None:
        self._uri = uri
        self._fetch = fetch
        self._keys: tuple[_Key, ...] = ()
        self._read_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._failed = False
        self._lock = threading.Lock()

    def find(self, algorithm: str, kid: str | None, now: datetime) -> Any:
        """Return the key that a token names, or None if the issuer has none such.

        Raises:
            IssuerUnavailableError: that could not be told now.
        """
        with self._lock:
            if not _within(FRESH, self._read_at, now):
                self._ask(now)
            key = _pick(self._keys, algorithm, kid)
            if key is None:
                self._ask(now)
                key = _pick(self._keys, algorithm, kid)
            if key is None and self._failed:
                wait = int(COOLDOWN.total_seconds())
                raise IssuerUnavailableError("The keys of the identity issuer cannot be read now.", wait)
            return key

    def _ask(self, now: datetime) -> None:
        """Read the keys, unless the issuer was asked just now."""
        if _within(COOLDOWN, self._asked_at, now):
            return
        self._asked_at = now
        try:
            keys = _read_keys(_parse(self._fetch(self._uri)))
        except (IssuerUnavailableError, OSError, ValueError, RecursionError):
            keys = ()
        self._failed = not keys
        if keys:
            self._keys, self._read_at = keys, now
        elif not _within(STALE, self._read_at, now):
            self._keys = ()


class _Key(msgspec.Struct, frozen=True):
    kid: str | None
    algorithm: str
    key: Any
    """A PyJWK, bound to the algorithm."""


def _read_keys(document: object) -> tuple[_Key, ...]:
    """Return those keys of a JWK set that may verify a token."""
    import jwt

    members = document.get("keys") if isinstance(document, Mapping) else None
    keys = []
    for jwk in members if isinstance(members, list) else []:
        algorithm = _algorithm(jwk) if isinstance(jwk, dict) else None
        if algorithm is None:
            continue
        public = {name: jwk[name] for name in _PUBLIC if name in jwk}
        try:
            keys.append(_Key(jwk.get("kid"), algorithm, jwt.PyJWK(public, algorithm)))
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
    return tuple(keys)


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    """Return the one algorithm that a key is for: its kind decides, not the token (RFC 8725, 3.1)."""
    match (jwk.get("kty"), jwk.get("crv")):
        case ("RSA", _):
            algorithm = "RS256"
        case ("EC", "P-256"):
            algorithm = "ES256"
        case ("OKP", "Ed25519"):
            algorithm = "EdDSA"
        case _:
            return None
    operations = jwk.get("key_ops", ["verify"])
    fits = (
        jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(jwk.get("kid"), str | None)
    )
    return algorithm if fits else None


def _pick(keys: tuple[_Key, ...], algorithm: str, kid: str | None) -> Any:
    """Return the one key that fits; without a `kid` only where there is no choice."""
    fitting = [key for key in keys if key.algorithm == algorithm and kid in (None, key.kid)]
    return fitting[0].key if len(fitting) == 1 else None


def _within(span: timedelta, since: datetime | None, now: datetime) -> bool:
    """Return whether less than `span` has passed; a clock that was set back has forgotten when."""
    return since is not None and timedelta() <= now - since < span


def _read_header(header: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return algorithm and `kid`. Keys that the token brings (jwk, jku, x5c, x5u) are not even looked at."""
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if algorithm not in ALGORITHMS:
        raise _BrokenRuleError("alg")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _BrokenRuleError("typ")
    if "crit" in header or "b64" in header:
        raise _BrokenRuleError("crit")
    if not isinstance(kid, str | None):
        raise _BrokenRuleError("kid")
    return algorithm, kid


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """Refuse a token that is over, is not yet, or does not say (RFC 7519, 4.1.4 to 4.1.6)."""
    if now >= _seconds(claims["exp"]) + LEEWAY:
        raise _BrokenRuleError("exp")
    if now + LEEWAY < _seconds(claims["iat"]):
        raise _BrokenRuleError("iat")
    if "nbf" in claims and now + LEEWAY < _seconds(claims["nbf"]):
        raise _BrokenRuleError("nbf")


def _seconds(value: object) -> float:
    """Return a NumericDate (RFC 7519, 2); True, a string and infinity are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _BrokenRuleError("time")
    return value


def _lists(claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the claims that are lists of strings; a joined string is never split (`a,b` may be one name)."""
    return {
        name: tuple(value)
        for name, value in claims.items()
        if name not in _REGISTERED and isinstance(value, list) and all(_is_text(each) for each in value)
    }


def _is_text(value: object) -> bool:
    """Return whether it is a string, and one that can be written down: JSON can escape half a character."""
    return isinstance(value, str) and not _HALF.search(value)


def _decode(segment: str) -> dict[str, Any]:
    """Return the JSON object that a segment of a token holds."""
    value = _parse(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if not isinstance(value, dict):
        raise _BrokenRuleError("object")
    return value


def _parse(raw: bytes) -> object:
    """Return a JSON value; a name that comes twice is read differently by others, so it is refused.

    Raises:
        ValueError: it is not JSON (RFC 8259) in UTF-8, or a name comes twice in one object.
        RecursionError: it is nested too deep.
    """
    return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _check_address(name: str, address: str, schemes: set[str]) -> None:
    parts = urlsplit(address)
    if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc or "#" in address:
        raise ValueError(f"{name}: one of {sorted(schemes)}, with a host, without a user or a fragment")
    if not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError(f"{name}: printable ASCII without spaces")
