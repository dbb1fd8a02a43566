"""How a browser signs in here: whoever sits before it says who they are, and a code stands for that, once.

OAuth 2.0's authorization endpoint and token endpoint for a public client with PKCE (RFC 6749, 4.1; RFC 7636),
as much of it as a page of this machine needs; nobody has a password.
"""

import base64
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from local.issuer import Issuer

CLIENT: Final = "gonogo-pages"
PAGES: Final = ("home", "usage")
"""The pages that sign in; a code is sent to one of them, and to nobody else."""
AUTHORIZE: Final = "_local/authorize"
EXCHANGE: Final = "_local/authorize/token"
LIFE: Final = timedelta(minutes=1)
"""How long a code may wait (RFC 6749, 4.1.2: ten minutes at most)."""

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class NotAskedError(ValueError):
    """A request to sign in that no page of ours makes; the text says what is wrong with it."""


class ExchangeError(ValueError):
    """A code that is not exchanged; `error` is its name in RFC 6749, section 5.2."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a page asks for when it sends a browser here."""

    response_type: str
    client_id: str
    redirect_uri: str
    scope: str
    state: str
    nonce: str
    code_challenge: str
    code_challenge_method: str


class _Granted(msgspec.Struct, frozen=True):
    person: str
    asked: Asked
    until: datetime


class SignIn:
    """Gives codes for people, and tokens for codes."""

    def __init__(self, issuer: Issuer, now: Callable[[], datetime]) -> None:
        self._issuer = issuer
        self._now = now
        self._granted: dict[str, _Granted] = {}
        self._lock = threading.Lock()

    def grant(self, asked: Asked, person: str) -> str:
        """Return where to send the browser of `person`: back to the page, with a code.

        Raises:
            PersonError: nobody has that name.
        """
        self._issuer.token(person)
        code = secrets.token_urlsafe(32)
        now = self._now()
        with self._lock:
            self._granted = {key: one for key, one in self._granted.items() if now < one.until}
            self._granted[code] = _Granted(person, asked, now + LIFE)
        return back(asked, code=code)

    def exchange(self, body: bytes) -> dict[str, Any]:
        """Return the tokens for a code (RFC 6749, 5.1); whatever is wrong with it, it is used up.

        Raises:
            ExchangeError: it was never given, was taken before, is too old, or belongs to another request.
        """
        said = fields(body.decode("ascii", "replace"))
        if said.get("grant_type") != "authorization_code":
            raise ExchangeError("unsupported_grant_type", "The grant_type is authorization_code.")
        with self._lock:
            granted = self._granted.pop(said.get("code", ""), None)
        if granted is None or self._now() >= granted.until:
            raise ExchangeError("invalid_grant", "The code is none, was taken before, or is too old.")
        asked = granted.asked
        if (said.get("client_id"), said.get("redirect_uri")) != (asked.client_id, asked.redirect_uri):
            raise ExchangeError("invalid_grant", "The code was given to another client or page.")
        verifier = said.get("code_verifier", "")
        if not VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
            challenge(verifier), asked.code_challenge
        ):
            raise ExchangeError("invalid_grant", "The code_verifier is not the one that was asked with.")
        return {
            "access_token": self._issuer.token(granted.person),
            "id_token": self._issuer.token(granted.person, audience=CLIENT, nonce=asked.nonce),
            "token_type": "Bearer",
            "scope": "openid",
        }


def read(text: str, host: str) -> Asked:
    """Return what the form or query `text` asks for; `host` is this machine as the browser calls it.

    Raises:
        NotAskedError: a page of ours does not ask so.
    """
    said = {name: value for name, value in fields(text).items() if name in Asked.__struct_fields__}
    try:
        asked = msgspec.convert(said, Asked)
    except msgspec.ValidationError as error:
        raise NotAskedError(f"{error}.") from None
    if asked.client_id != CLIENT:
        raise NotAskedError(f"The client_id is {CLIENT}.")
    pages = [f"http://{host}/{page}" for page in PAGES]
    if asked.redirect_uri not in pages:
        raise NotAskedError(f"The redirect_uri is one of {', '.join(pages)}.")
    if asked.response_type != "code" or "openid" not in asked.scope.split(" "):
        raise NotAskedError("The response_type is code, and the scope has openid.")
    if asked.code_challenge_method != "S256" or not CHALLENGE.fullmatch(asked.code_challenge):
        raise NotAskedError("The code_challenge is a SHA-256 in base64url, and its method S256.")
    if not asked.state or not asked.nonce:
        raise NotAskedError("The state and the nonce are not empty.")
    return asked


def back(asked: Asked, **said: str) -> str:
    """Return the address of the page that asked, with the answer."""
    return f"{asked.redirect_uri}?{urlencode({**said, 'state': asked.state})}"


def fields(text: str) -> Mapping[str, str]:
    """Return the fields of a form or query; none of one that has a field twice (RFC 6749, 3.1)."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        return {}
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def challenge(verifier: str) -> str:
    """Return the challenge of a verifier (RFC 7636, 4.2, S256)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
