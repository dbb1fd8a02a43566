"""The JSON API: reads a request strictly, calls gonogo, and shows what it answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from chalice.app import Response

from functions import bodies, problem, strict
from functions.headers import SECURITY_HEADERS
from gonogo import __version__
from gonogo.bootstrap import gonogo
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.launch import Launch
from gonogo.core.policy import Principal
from gonogo.core.states import State
from gonogo.service import change, decide, identity, read, submit
from gonogo.service.identity import SignedIn

T = TypeVar("T")
MOST_ITEMS = 100
ITEMS = 25


Command = Literal["cancel", "retry", "stop", "start", "terminate"]


class Request(Protocol):
    """As much of `chalice.app.Request` as is used here."""

    headers: Any
    query_params: Any
    raw_body: bytes


@problem.answered
def submit_launch(request: Request) -> Response:
    """POST /v1/launches."""
    query = _query(request, "dry_run")
    dry = _flag(query, "dry_run")
    asker = _signed_in(request)
    asked = _body(request, bodies.Submit).request()
    if dry:
        return _reply(bodies.dry_run(submit.answer(gonogo(), asker, asked)))
    launch = submit.submit(gonogo(), asker, asked, _idempotency_key(request))
    return _reply(
        bodies.launch_view(launch),
        HTTPStatus.CREATED,
        {"Location": f"launches/{launch.id}", "ETag": _etag(launch)},
    )


@problem.answered
def list_launches(request: Request) -> Response:
    """GET /v1/launches."""
    query = _query(request, "state", "requester", "cursor", "limit")
    reader = _signed_in(request)
    cursor, limit = query.get("cursor"), _limit(query)
    if "state" in query and "requester" in query:
        raise InvalidError(Fault("requester", "exclusive", "ask by state or by requester, not by both"))
    if "state" in query:
        page = read.launches_in(gonogo(), _state(query["state"]), cursor=cursor, limit=limit)
    else:
        page = read.launches_of(gonogo(), _requester(query, reader), cursor=cursor, limit=limit)
    return _reply(bodies.launch_page(page))


@problem.answered
def get_launch(request: Request, launch_id: str) -> Response:
    """GET /v1/launches/{id}."""
    _query(request)
    _signed_in(request)
    launch = read.launch(gonogo(), launch_id)
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if _etag(launch) in known or known == ["*"]:
        return Response(
            body="", status_code=HTTPStatus.NOT_MODIFIED, headers={**SECURITY_HEADERS, "ETag": _etag(launch)}
        )
    return _launch(launch)


@problem.answered
def list_events(request: Request, launch_id: str) -> Response:
    """GET /v1/launches/{id}/events."""
    _query(request)
    _signed_in(request)
    return _reply(bodies.history(launch_id, read.history(gonogo(), launch_id)))


@problem.answered
def decide_launch(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/decisions."""
    _query(request)
    decider = _signed_in(request)
    said = _body(request, bodies.Decide)
    return _launch(
        decide.decide(
            gonogo(),
            decider,
            launch_id,
            gate=said.gate,
            verdict=said.verdict,
            digest=said.digest,
            comment=said.comment,
        )
    )


@problem.answered
def decide_by_token(request: Request) -> Response:
    """POST /v1/decisions: the token is the authority, and there is no other."""
    _query(request)
    said = _body(request, bodies.DecideByToken)
    launch = decide.by_token(gonogo(), said.token, verdict=said.verdict, digest=None, comment=said.comment)
    return _launch(launch)


@problem.answered
def change_launch(request: Request, launch_id: str, command: Command) -> Response:
    """POST /v1/launches/{id}/{cancel|retry|stop|start|terminate}."""
    _query(request)
    actor = _signed_in(request)
    _body(request, bodies.Nothing, empty=b"{}")
    if command == "cancel":
        return _launch(change.cancel(gonogo(), actor, launch_id))
    if command == "retry":
        return _launch(change.retry(gonogo(), actor, launch_id))
    return _launch(change.change(gonogo(), actor, launch_id, command), HTTPStatus.ACCEPTED)


@problem.answered
def inbox(request: Request) -> Response:
    """GET /v1/inbox."""
    query = _query(request, "cursor", "limit")
    reader = _signed_in(request)
    page = read.inbox(gonogo(), reader, cursor=query.get("cursor"), limit=_limit(query))
    return _reply(bodies.inbox_page(page))


@problem.answered
def list_templates(request: Request) -> Response:
    """GET /v1/templates."""
    _query(request)
    return _reply(bodies.templates(_signed_in(request).policy))


@problem.answered
def get_policy(request: Request) -> Response:
    """GET /v1/policy."""
    _query(request)
    return _reply(bodies.policy_view(_signed_in(request).policy))


@problem.answered
def health() -> Response:
    """GET /healthz."""
    return _reply(bodies.Health("ok", __version__))


@problem.answered
def openapi() -> Response:
    """GET /openapi.json."""
    from functions.openapi import document

    return _reply(document())


def _body(request: Request, kind: type[T], *, empty: bytes = b"") -> T:
    strict.check_type(request.headers.get("content-type"))
    return strict.decode(request.raw_body or empty, kind)


def _signed_in(request: Request) -> SignedIn:
    return identity.sign_in(gonogo(), request.headers.get("authorization"))


def _launch(launch: Launch, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return _reply(bodies.launch_view(launch), status, {"ETag": _etag(launch)})


def _reply(body: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(
        body=msgspec.json.encode(body).decode(),
        status_code=status,
        headers={**SECURITY_HEADERS, "Content-Type": "application/json", **(headers or {})},
    )


def _etag(launch: Launch) -> str:
    return f'"{launch.version}"'


def _query(request: Request, *known: str) -> dict[str, str]:
    """Return the query parameters, each once; one that is not known might have been meant to matter."""
    found: dict[str, str] = {}
    given = request.query_params or {}
    for name in given:
        values = given.getlist(name) if hasattr(given, "getlist") else [given[name]]
        if name not in known:
            raise InvalidError(Fault(name, "unknown", "is not a query parameter of this"))
        if len(values) != 1:
            raise InvalidError(Fault(name, "repeated", "stands more than once"))
        found[name] = values[0]
    return found


def _flag(query: dict[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidError(Fault(name, "boolean", "is true or false"))
    return value == "true"


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit", str(ITEMS))
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MOST_ITEMS):  # noqa: PLR2004
        raise InvalidError(Fault("limit", "range", f"is a whole number from 1 to {MOST_ITEMS}"))
    return int(text)


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise InvalidError(Fault("state", "enum", f"is one of {', '.join(State)}")) from None


def _requester(query: dict[str, str], reader: Principal) -> Actor:
    text = query.get("requester", "me")
    if text == "me":
        return reader.actor
    try:
        asked = Actor.parse(text)
        return msgspec.convert({"issuer": asked.issuer, "subject": asked.subject}, bodies.ActorBody).actor()
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidError(Fault("requester", "actor", f"is `me`, or: {error}")) from None


LONGEST_KEY = 255


def _idempotency_key(request: Request) -> str | None:
    key: str | None = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidError(
            Fault("Idempotency-Key", "header", f"is 1 to {LONGEST_KEY} printable ASCII characters")
        )
    return key
