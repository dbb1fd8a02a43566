"""What is below /_local/: the page a new user lands on, the mailbox, tokens, and the clock.

Whoever reaches these routes can be anybody of policy/people.toml, so only programs and pages of this machine
may: the Host must be this machine's own name (a page elsewhere may have its DNS name lead here), and a
browser must not come from another site.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from local import page, sign_in
from local.clock import Clock, ClockError, parse_advance
from local.issuer import Issuer, PersonError
from local.mailbox import Mailbox
from local.sign_in import ExchangeError, NotAskedError, SignIn

PREFIX: Final = "/_local"
OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1"})
BODY_LIMIT: Final = 4096

CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SCRIPT_HASH: Final = base64.b64encode(hashlib.sha256(page.SCRIPT.encode()).digest()).decode()
AUTHORIZE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_POLICY.replace("form-action 'none'", "form-action 'self'"),
    # with no-referrer a form would come from the origin `null`, which may not ask
    "Referrer-Policy": "same-origin",
}
FRONT_POLICY: Final = f"{CONTENT_POLICY}; connect-src 'self'; script-src 'sha256-{SCRIPT_HASH}'"

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Reply(NamedTuple):
    """An answer: `headers` are those beyond SECURITY_HEADERS."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = {}


class BadRequestError(ValueError):
    """A body that these routes do not take; the text says what they take."""


class Routes:
    """Answers requests below /_local/."""

    def __init__(
        self,
        *,
        clock: Clock,
        issuer: Issuer,
        mailbox: Mailbox,
        jumped: Callable[[], None],
        view: Callable[[], page.View],
        keep: Callable[[], str],
        restore: Callable[[str], int],
        know: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what the routes show and change.

        `jumped` is called when the clock did, before the answer; `know` before anybody is given a token, for
        the policy, and with it the people, may have changed. `keep` backs up the table and returns the backup's ARN,
        `restore` puts one in its place and returns the epoch that begins.
        """
        self._keep = keep
        self._restore = restore
        self._know = know
        self._clock = clock
        self._issuer = issuer
        self._sign_in = SignIn(issuer, clock.now)
        self._mailbox = mailbox
        self._jumped = jumped
        self._view = view

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request; `headers` have lower-case names, `target` is the path with its query."""
        path, query = urlsplit(target).path, urlsplit(target).query
        stranger = foreign(method, path, headers)
        if stranger:
            return problem(403, "foreign", "Not from there", stranger)
        routes: dict[tuple[str, str], Callable[[], Reply]] = {
            ("GET", "/"): self._front,
            ("GET", "/mail"): lambda: as_json([msgspec.to_builtins(mail) for mail in self._mailbox.mails()]),
            ("GET", "/jwks.json"): lambda: as_json(self._issuer.jwks()),
            ("GET", "/authorize"): lambda: self._ask_who(query, headers["host"]),
            ("POST", "/authorize"): lambda: self._grant(body, headers["host"]),
            ("POST", "/authorize/token"): lambda: self._exchange(body),
            ("POST", "/token"): lambda: self._token(body),
            ("POST", "/clock"): lambda: self._advance(body),
            ("POST", "/backup"): lambda: as_json({"backup": self._keep()}),
            ("POST", "/restore"): lambda: self._put_back(body),
        }
        below = path.removeprefix(PREFIX)
        if not below:
            return Reply(308, "text/plain", b"", {"Location": f"{PREFIX}/"})
        if below.startswith("/mail/"):
            routes["GET", below] = lambda: self._mail(unquote(below.removeprefix("/mail/")))
        wanted = "GET" if method == "HEAD" else method
        if (wanted, below) in routes:
            try:
                return routes[wanted, below]()
            except (BadRequestError, ClockError, NotAskedError, PersonError) as error:
                return problem(400, "invalid", "The request breaks a rule", str(error))
        allowed = sorted(known for known, route in routes if route == below)
        if not allowed:
            return problem(404, "not-found", "There is no such thing", f"There is no {path} here.")
        reply = problem(405, "wrong-method", "Not by this method", f"{path} answers {allowed[0]} only.")
        return reply._replace(headers={"Allow": ", ".join(allowed)})

    def _front(self) -> Reply:
        shown = html(page.front(self._view(), self._mailbox.mails()))
        return shown._replace(headers={"Content-Security-Policy": FRONT_POLICY})

    def _mail(self, mail_id: str) -> Reply:
        mail = self._mailbox.find(mail_id)
        if mail is None:
            return problem(404, "not-found", "There is no such thing", "There is no such mail.")
        return html(page.mail(mail))

    def _ask_who(self, query: str, host: str) -> Reply:
        asked = sign_in.read(query, host)
        self._know()
        shown = html(page.authorize(msgspec.to_builtins(asked), list(self._issuer.people.values())))
        return shown._replace(headers=AUTHORIZE_HEADERS)

    def _grant(self, body: bytes, host: str) -> Reply:
        text = body.decode("ascii", "replace")
        asked, who = sign_in.read(text, host), sign_in.fields(text).get("person")
        if who is None:
            message = 'The field "person" says who.'
            raise BadRequestError(message)
        there = self._sign_in.grant(asked, who) if who else sign_in.back(asked, error="access_denied")
        return Reply(303, "text/plain", b"", {**AUTHORIZE_HEADERS, "Location": there})

    def _exchange(self, body: bytes) -> Reply:
        try:
            return as_json(self._sign_in.exchange(body))
        except ExchangeError as error:
            refused = {"error": error.error, "error_description": str(error)}
            return as_json(refused)._replace(status=400)

    def _token(self, body: bytes) -> Reply:
        self._know()
        return as_json({"access_token": self._issuer.token(_only_field(body, "person"))})

    def _put_back(self, body: bytes) -> Reply:
        try:
            return as_json({"epoch": self._restore(_only_field(body, "backup"))})
        except (ClientError, BotoCoreError) as error:
            raise BadRequestError(str(error)) from error

    def _advance(self, body: bytes) -> Reply:
        now = self._clock.advance(parse_advance(_only_field(body, "advance")))
        self._jumped()
        return as_json({"now": now.strftime("%Y-%m-%dT%H:%M:%SZ")})


def foreign(method: str, path: str, headers: Mapping[str, str]) -> str:
    """Return why a request may not come in, in a sentence; empty if it may."""
    host = headers.get("host", "")
    if host.rpartition(":")[0] not in OWN_NAMES and host not in OWN_NAMES:
        return f"These routes answer to {' and '.join(sorted(OWN_NAMES))} only."
    site = headers.get("sec-fetch-site", "none").lower()
    origin = headers.get("origin")
    followed_a_link = method == "GET" and path == f"{PREFIX}/" and headers.get("sec-fetch-mode") == "navigate"
    if site in ("cross-site", "same-site") and not followed_a_link:
        return "A page of another site may not ask this."
    if origin is not None and origin != f"http://{host}":
        return "A page of another origin may not ask this."
    return ""


def as_json(value: Any) -> Reply:
    """Answer with JSON."""
    return Reply(200, "application/json", json.dumps(value).encode())


def html(text: str) -> Reply:
    """Answer with a page."""
    return Reply(200, "text/html; charset=utf-8", text.encode())


def problem(status: int, slug: str, title: str, detail: str) -> Reply:
    """Answer with a problem (RFC 9457), in the shape that gonogo's API has."""
    found = {"type": f"urn:gonogo:problem:{slug}", "title": title, "status": status, "detail": detail}
    return Reply(status, "application/problem+json", json.dumps(found).encode())


def _only_field(body: bytes, name: str) -> str:
    """Return the string that is the only field of a JSON object."""
    message = f'The body is a JSON object with the one field "{name}", a string.'
    try:
        found = json.loads(body) if len(body) <= BODY_LIMIT else None
    except (ValueError, RecursionError) as error:
        raise BadRequestError(message) from error
    if not isinstance(found, dict) or list(found) != [name] or not isinstance(found[name], str):
        raise BadRequestError(message)
    value: str = found[name]
    return value
