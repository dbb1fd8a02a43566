"""Speak to a deployment of gonogo over its HTTP API.

    ClientError
    ├── ProblemError      it answered, and the answer is no (RFC 9457)
    └── NoAnswerError     it did not answer; what was asked may have been done

Answers are the API's own JSON as dicts, as its /openapi.json describes them, with whatever a newer one adds.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from gonogo.core.actor import Actor
from gonogo.core.errors import Fault
from gonogo.core.plan import NEVER

Json = dict[str, Any]
Token = str | Callable[[], str]
"""A bearer token, or what gives one: it is asked again when the one it gave is refused."""
Verdict = Literal["approve", "reject", "revoke", "pass", "fail"]
"""What may be said of a gate; systems say pass and fail, which are approve and reject."""
Change = Literal["cancel", "retry", "stop", "start", "terminate"]
Trouble = Literal["waiting", "failed"]
"""A notice waits for another try after one that failed, or was given up."""
Outcome = Literal["started", "failed", "stopped", "terminated"]
"""What an outside system may report of a launch."""

TRIES = 4
FIRST_WAIT = 0.5
LONGEST_WAIT = 10.0
"""Seconds between two tries: twice the wait each time, or what Retry-After says (RFC 9110, 10.2.3)."""
PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""What a gateway or gonogo answers when the same request may well succeed a moment later."""
TIMEOUT = httpx.Timeout(35, connect=5)
"""API Gateway gives up after 29 seconds (its service quotas, "integration timeout")."""


class ClientError(Exception):
    """The root; `str()` is a sentence for people."""


class ProblemError(ClientError):
    """The answer is no: `type` is stable and names the rule, `errors` says which fields broke it.

    An answer that is no problem document has the type `about:blank`.
    """

    def __init__(
        self,
        type: str,  # noqa: A002 - the member's name
        status: int,
        title: str,
        detail: str,
        errors: tuple[Fault, ...] = (),
    ) -> None:
        """Keep the members of the problem document."""
        self.type = type
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        super().__init__(detail or title)


class NoAnswerError(ClientError):
    """There is no answer. What was asked may have been done, so read before asking anew."""


class Client:
    """One deployment, as one person or service; use it as a context manager, or close it."""

    def __init__(
        self,
        url: str,
        token: Token | None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the address of the deployment, with its stage if it has one; nothing is called yet.

        Without a token only `decide_by_token` will be answered.

        Raises:
            ValueError: the address is none, or would carry the token over plain HTTP to another machine; or
                the token cannot be one.
        """
        self._auth = _Bearer(token) if token is not None else None
        self._http = httpx.Client(
            base_url=_base(url),
            transport=transport,
            timeout=TIMEOUT,
            headers={"Accept": "application/json, application/problem+json"},
        )
        self._sleep = sleep

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def submit(
        self,
        template: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        reason: str,
        cost_center: str,
        name: str | None = None,
        lease: str | None = None,
        on_behalf_of: Actor | None = None,
        launch_by: datetime | None = None,
        break_glass: bool = False,
        idempotency_key: str | None = None,
    ) -> Json:
        """Ask for a launch and return it; it is launched by `launch_by` (with a time zone) or not at all.

        The request carries an Idempotency-Key, one of its own unless one is given, so that repeating it after
        a lost answer makes no second launch.

        Raises:
            ProblemError, NoAnswerError: see there.
        """
        body = _submission(
            template, parameters, reason, cost_center, name, lease, on_behalf_of, launch_by, break_glass
        )
        key = idempotency_key if idempotency_key is not None else new_idempotency_key()
        return self._ask("POST", "v1/launches", json=body, headers={"Idempotency-Key": key})

    def dry_run(
        self,
        template: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        reason: str,
        cost_center: str,
        name: str | None = None,
        lease: str | None = None,
        on_behalf_of: Actor | None = None,
        launch_by: datetime | None = None,
        break_glass: bool = False,
    ) -> Json:
        """Return what would become of a request; nothing is stored."""
        body = _submission(
            template, parameters, reason, cost_center, name, lease, on_behalf_of, launch_by, break_glass
        )
        return self._ask("POST", "v1/launches", json=body, params={"dry_run": "true"})

    def launches(
        self,
        *,
        state: str | None = None,
        requester: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Json:
        """Return a page of launches, newest first: in a state, or of a requester (`me` or issuer#subject)."""
        return self._ask(
            "GET",
            "v1/launches",
            params=_given(state=state, requester=requester, cursor=cursor, limit=limit),
        )

    def launch(self, launch_id: str) -> Json:
        """Return a launch as it is now."""
        return self._ask("GET", _path(launch_id))

    def events(self, launch_id: str) -> list[Json]:
        """Return all events of a launch as CloudEvents, oldest first."""
        return _items(self.history(launch_id))

    def history(self, launch_id: str) -> Json:
        """Return all events of a launch, and under `head` the hash that the last one must have."""
        return self._ask("GET", _path(launch_id, "events"))

    def decide(
        self, launch_id: str, *, gate: str, verdict: Verdict, digest: str, comment: str | None = None
    ) -> Json:
        """Say go, or no, of one gate for one digest, and return the launch; or take back what was said."""
        return self._ask(
            "POST",
            _path(launch_id, "decisions"),
            tries=_tries(verdict),
            json=_given(gate=gate, verdict=verdict, digest=digest, comment=comment),
        )

    def decide_by_token(self, token: str, *, verdict: Verdict, comment: str | None = None) -> Json:
        """Decide the gate that an approval token is for, and return the launch; it is the authority."""
        return self._ask(
            "POST",
            "v1/decisions",
            tries=_tries(verdict),
            auth=None,
            json=_given(token=token, verdict=verdict, comment=comment),
        )

    def note_by_token(self, token: str, note: str) -> Json:
        """Say how far the hook is that an approval token is for, and return the launch."""
        return self._ask("POST", "v1/decisions", auth=None, json={"token": token, "note": note})

    def note(self, launch_id: str, *, gate: str, text: str) -> Json:
        """Say how far a hook is, as a system that may decide it, and return the launch."""
        return self._ask("POST", _path(launch_id, "notes"), json={"gate": gate, "text": text})

    def amend(
        self,
        launch_id: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        lease: str | None = None,
        reason: str | None = None,
        cost_center: str | None = None,
        name: str | None = None,
        launch_by: datetime | None = None,
        digest: str | None = None,
    ) -> Json:
        """Ask for something else instead, and return the launch; what was decided is void.

        What is None stays; a parameter that is None goes back to its default. With the `digest` that one was
        shown, nothing is amended that is another by now.
        """
        changes = _given(
            parameters=_parameters(parameters),
            lease=lease,
            reason=reason,
            cost_center=cost_center,
            name=name,
            launch_by=_moment(launch_by),
            digest=digest,
        )
        return self._ask("POST", _path(launch_id, "amend"), json=changes)

    def offer(
        self,
        launch_id: str,
        *,
        gate: str,
        digest: str,
        parameters: Mapping[str, Any] | None = None,
        lease: str | None = None,
        comment: str | None = None,
    ) -> Json:
        """Say, as an approver who was shown this digest, to what less one would say go; return the launch."""
        body = _given(
            gate=gate, digest=digest, parameters=_parameters(parameters), lease=lease, comment=comment
        )
        return self._ask("POST", _path(launch_id, "offers"), json=body)

    def accept(self, launch_id: str, digest: str) -> Json:
        """Ask for what the offer of this digest says instead, and return the launch."""
        return self._ask("POST", _path(launch_id, "accept"), json={"digest": digest})

    def why(self, launch_id: str) -> Json:
        """Return why a launch waits: who can decide each gate, who did, what is missing, and why not you."""
        return self._ask("GET", _path(launch_id, "why"))

    def difference(self, launch_id: str) -> dict[str, str]:
        """Return what a change of policy changes: by file, a unified diff."""
        files: dict[str, str] = self._ask("GET", _path(launch_id, "diff"))["files"]
        return files

    def delegation(self, of: Actor | None = None) -> Json:
        """Return who decides in somebody's place, or did last; in one's own, if `of` is None."""
        return self._ask("GET", "v1/delegation", params=_of(of))

    def delegate(
        self, to: Actor, *, until: datetime, since: datetime | None = None, of: Actor | None = None
    ) -> Json:
        """Let `to` decide in somebody's place from `since` (now, if None) until `until`, and return that."""
        body = _given(to=_somebody(to), until=_moment(until), since=_moment(since))
        return self._ask("PUT", "v1/delegation", params=_of(of), json=body)

    def end_delegation(self, of: Actor | None = None) -> Json:
        """Let nobody decide in somebody's place any more, and return what was ended."""
        return self._ask("DELETE", "v1/delegation", params=_of(of))

    def cancel(self, launch_id: str) -> Json:
        """End a launch that has not begun, and return it."""
        return self._change(launch_id, "cancel", TRIES)

    def retry(self, launch_id: str) -> Json:
        """Try a failed launch again, as a new attempt, and return it. Never repeated by itself."""
        return self._change(launch_id, "retry", 1)

    def stop(self, launch_id: str) -> Json:
        """Want a launch stopped, and return it."""
        return self._change(launch_id, "stop", TRIES)

    def start(self, launch_id: str) -> Json:
        """Want a stopped launch started, and return it."""
        return self._change(launch_id, "start", TRIES)

    def terminate(self, launch_id: str) -> Json:
        """Want a launch terminated, and return it."""
        return self._change(launch_id, "terminate", TRIES)

    def extend(self, launch_id: str, *, until: datetime | None, reason: str | None = None) -> Json:
        """Let a launch run until then (None: without an end), and return it as it ends then.

        Or return another launch: the one that waits for the gates which policy asks first, of engine `lease`.
        """
        body = _given(until=_moment(until) if until is not None else NEVER, reason=reason)
        return self._ask("POST", _path(launch_id, "extend"), json=body)

    def report(
        self,
        launch_id: str,
        *,
        digest: str,
        outcome: Outcome,
        attempt: int | None = None,
        resources: Sequence[str] = (),
        code: str | None = None,
        message: str | None = None,
    ) -> Json:
        """Say, as the outside system that launches what has this digest, what became of it; return the launch.

        Doing so again changes nothing; with the `attempt`, nothing is said of a later one.
        """
        body = _given(
            digest=digest,
            outcome=outcome,
            attempt=attempt,
            resources=list(resources) or None,
            code=code,
            message=message,
        )
        return self._ask("POST", _path(launch_id, "report"), json=body)

    def inbox(self, *, cursor: str | None = None, limit: int | None = None) -> Json:
        """Return a page of the gates that wait for whoever asks, each with its launch."""
        return self._ask("GET", "v1/inbox", params=_given(cursor=cursor, limit=limit))

    def deliveries(self, trouble: Trouble, *, cursor: str | None = None, limit: int | None = None) -> Json:
        """Return a page of the notices that were given up (`failed`), or wait for another try (`waiting`)."""
        asked = _given(trouble=trouble, cursor=cursor, limit=limit)
        return self._ask("GET", "v1/deliveries", params=asked)

    def launch_deliveries(self, launch_id: str) -> list[Json]:
        """Return every notice of a launch, oldest first."""
        return _items(self._ask("GET", _path(launch_id, "deliveries")))

    def redeliver(self, delivery_id: str) -> Json:
        """Have a notice tried again that was given up, or waits for its next try, and return it."""
        return self._ask("POST", f"v1/deliveries/{checked_id(delivery_id)}/redeliver", json={})

    def usage(
        self,
        month: str,
        cost_center: str | None = None,
        *,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Json:
        """Return a page of a month's usage records, the newest day first; `limit` counts instance days."""
        asked = _given(month=month, cost_center=cost_center, cursor=cursor, limit=limit)
        return self._ask("GET", "v1/usage", params=asked)

    def usage_sums(self, month: str, cost_center: str | None = None, *, cursor: str | None = None) -> Json:
        """Return the sums of a month by day; where there is a cursor, those of the other parts are to be added."""
        asked = _given(month=month, cost_center=cost_center, cursor=cursor)
        return self._ask("GET", "v1/usage/summary", params=asked)

    def monthly_report(
        self, name: str, month: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Json:
        """Return a part of a report of a month; there may be more while there is a cursor."""
        asked = _given(month=month, cursor=cursor, limit=limit)
        return self._ask("GET", f"v1/reports/{checked_id(name)}", params=asked)

    def templates(self) -> list[Json]:
        """Return what may be asked for."""
        return _items(self._ask("GET", "v1/templates"))

    def policy(self, bundle: str | None = None) -> Json:
        """Return the policy in force, or the one of this digest."""
        return self._ask("GET", "v1/policy", params=_given(bundle=bundle))

    def propose_policy(
        self, files: Mapping[str, str], *, reason: str, idempotency_key: str | None = None
    ) -> Json:
        """Ask for another policy, by path and text of its files, and return the launch that it waits as."""
        key = idempotency_key if idempotency_key is not None else new_idempotency_key()
        body = {"files": dict(files), "reason": reason}
        return self._ask("PUT", "v1/policy", json=body, headers={"Idempotency-Key": key})

    def _change(self, launch_id: str, command: Change, tries: int) -> Json:
        return self._ask("POST", _path(launch_id, command), tries=tries, json={})

    def _ask(self, method: str, path: str, *, tries: int = TRIES, **options: Any) -> Json:
        """Ask, and ask the same again, up to `tries` times in all, while the failure is one that passes."""
        options.setdefault("auth", self._auth)
        for left in reversed(range(tries)):
            wait = min(FIRST_WAIT * 2 ** (tries - 1 - left), LONGEST_WAIT)
            try:
                response = self._http.request(method, path, **options)
            except httpx.RequestError as error:
                if not left:
                    raise NoAnswerError(self._unanswered(method, error)) from error
            else:
                if response.status_code not in PASSING or not left or _asks_for_long(response):
                    return _answer(response)
                wait = _retry_after(response, wait)
            self._sleep(wait)
        raise AssertionError(tries)

    def _unanswered(self, method: str, error: httpx.RequestError) -> str:
        doubt = "" if method == "GET" else " It may have been done: look before you ask anew."
        return f"No answer from {self._http.base_url} ({str(error) or type(error).__name__}).{doubt}"


def new_idempotency_key() -> str:
    """Return a key that no other request has."""
    return secrets.token_urlsafe(24)


class _Bearer(httpx.Auth):
    """Sends a bearer token (RFC 6750, section 2.1); a new one is got once when the old one is refused."""

    def __init__(self, token: Token) -> None:
        self._get = None if isinstance(token, str) else token
        self._now = _checked(token) if isinstance(token, str) else None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._now is None and self._get is not None:
            self._now = _checked(self._get())
        request.headers["Authorization"] = f"Bearer {self._now}"
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._get is not None:
            self._now = _checked(self._get())
            request.headers["Authorization"] = f"Bearer {self._now}"
            yield request


def _checked(token: str) -> str:
    """Return the token if it can stand in a header; no message may show it."""
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ValueError("the token is not one word of ASCII characters")
    return token


def _base(url: str) -> httpx.URL:
    """Return the address to join paths to; no token goes in the clear to another machine."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no address: {error}") from error
    if base.scheme not in ("http", "https") or not base.host:
        raise ValueError(f"{url!r} is no address such as https://gonogo.example.com/api/")
    if base.userinfo or base.query or base.fragment:
        raise ValueError(f"{url!r} has more in it than host and path")
    if base.scheme == "http" and not _is_this_machine(base.host):
        raise ValueError(f"{url!r} would show your token to whoever is on the way: use https")
    return base


def _is_this_machine(host: str) -> bool:
    """Tell whether the host can only be this machine (RFC 6761, section 6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_id(launch_id: str) -> str:
    """Return the launch id if it can be one, so that it leads to no other path.

    Raises:
        ValueError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", launch_id):
        raise ValueError(f"{launch_id!r} is no launch id")
    return launch_id


def _path(launch_id: str, *rest: str) -> str:
    return "/".join(("v1/launches", checked_id(launch_id), *rest))


def _submission(
    template: str,
    parameters: Mapping[str, Any] | None,
    reason: str,
    cost_center: str,
    name: str | None,
    lease: str | None,
    on_behalf_of: Actor | None,
    launch_by: datetime | None,
    break_glass: bool,  # noqa: FBT001 - every caller hands on all of them
) -> Json:
    return _given(
        template=template,
        parameters=dict(parameters or {}),
        reason=reason,
        cost_center=cost_center,
        name=name,
        lease=lease,
        on_behalf_of=_somebody(on_behalf_of),
        launch_by=_moment(launch_by),
        break_glass=break_glass or None,
    )


def _somebody(actor: Actor | None) -> Json | None:
    return {"issuer": actor.issuer, "subject": actor.subject} if actor is not None else None


def _of(actor: Actor | None) -> Json:
    return _given(of=actor.key if actor is not None else None)


def _moment(at: datetime | None) -> str | None:
    """Return the time as RFC 3339.

    Raises:
        ValueError: it has no time zone, so it is no moment.
    """
    if at is not None and at.utcoffset() is None:
        raise ValueError(f"{at} has no time zone")
    return at.isoformat() if at is not None else None


def _parameters(parameters: Mapping[str, Any] | None) -> Json | None:
    return dict(parameters) if parameters is not None else None


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _tries(verdict: Verdict) -> int:
    """Return how often a decision may be repeated: deciding is idempotent, taking it back is not."""
    return 1 if verdict == "revoke" else TRIES


def _asks_for_long(response: httpx.Response) -> bool:
    """Tell whether a limit asks for more patience than we have: then its answer says how much."""
    limited = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    return limited and _retry_after(response, 0, float("inf")) > LONGEST_WAIT


def _retry_after(response: httpx.Response, otherwise: float, most: float = LONGEST_WAIT) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), most) if text.isascii() and text.isdigit() else otherwise


def _answer(response: httpx.Response) -> Json:
    """Return the JSON object of a success, or raise what the answer says."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    said = body if isinstance(body, dict) else {}
    if response.is_success or not isinstance(said.get("type"), str):
        detail = said.get("message") or "The answer is none of gonogo's: is the address right?"
        raise ProblemError("about:blank", response.status_code, response.reason_phrase, str(detail))
    raise ProblemError(
        said["type"],
        response.status_code,
        str(said.get("title", response.reason_phrase)),
        str(said.get("detail", "")),
        tuple(_fault(one) for one in said.get("errors") or () if isinstance(one, dict)),
    )


def _fault(said: Mapping[str, Any]) -> Fault:
    return Fault(*(str(said.get(name, "")) for name in ("pointer", "rule", "detail")))


def _items(page: Json) -> list[Json]:
    items: list[Json] = page["items"]
    return items
