"""The JSON API: reads a request strictly, calls gonogo, and shows what it answers."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeVar, get_args

import msgspec
from chalice.app import Response

from functions import bodies, problem, strict
from functions.headers import SECURITY_HEADERS, source_of
from gonogo import __version__
from gonogo.bootstrap import gonogo
from gonogo.core.actor import Actor
from gonogo.core.delegation import Delegation
from gonogo.core.delivery import Trouble
from gonogo.core.errors import Fault, InvalidError, NotFoundError, PolicyMissingError
from gonogo.core.launch import Launch
from gonogo.core.policy import Principal
from gonogo.core.states import State
from gonogo.service import (
    amend,
    change,
    decide,
    delegate,
    deliveries,
    extend,
    identity,
    policies,
    read,
    report,
    submit,
    why,
)
from gonogo.service.deliveries import Told
from gonogo.service.identity import SignedIn

T = TypeVar("T")
LARGEST_POLICY = 1024 * 1024
"""Bytes of a policy as it is asked for; compressed it has 350 KB at most."""
MOST_ITEMS = 100
ITEMS = 25


Command = Literal["cancel", "retry", "stop", "start", "terminate"]


class Request(Protocol):
    """As much of `chalice.app.Request` as is used here."""

    headers: Any
    query_params: Any
    raw_body: bytes
    context: Any


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
    events, head = read.history(gonogo(), launch_id)
    return _reply(bodies.history(launch_id, events, head))


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
            verdict=bodies.VERDICTS[said.verdict],
            digest=said.digest,
            comment=said.comment,
        )
    )


@problem.answered
def decide_by_token(request: Request) -> Response:
    """POST /v1/decisions: the token is the authority, and there is no other."""
    _query(request)
    said = _body(request, bodies.DecideByToken)
    if (said.verdict is None) == (said.note is None):
        raise InvalidError(Fault("/verdict", "exclusive", "give either a verdict or a note"))
    if said.note is not None:
        if said.comment is not None:
            raise InvalidError(Fault("/comment", "exclusive", "goes with a verdict, not with a note"))
        return _launch(decide.note_by_token(gonogo(), said.token, note=said.note, source=source_of(request)))
    verdict = bodies.VERDICTS[said.verdict or "reject"]
    return _launch(
        decide.by_token(
            gonogo(),
            said.token,
            verdict=verdict,
            digest=None,
            comment=said.comment,
            source=source_of(request),
        )
    )


@problem.answered
def note_launch(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/notes."""
    _query(request)
    noter = _signed_in(request)
    said = _body(request, bodies.MakeNote)
    return _launch(decide.note(gonogo(), noter, launch_id, gate=said.gate, text=said.text))


@problem.answered
def amend_launch(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/amend."""
    _query(request)
    actor = _signed_in(request)
    said = _body(request, bodies.Amend)
    return _launch(amend.amend(gonogo(), actor, launch_id, said.changes(), digest=said.digest))


@problem.answered
def offer_launch(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/offers."""
    _query(request)
    actor = _signed_in(request)
    said = _body(request, bodies.MakeOffer)
    return _launch(
        amend.offer(
            gonogo(),
            actor,
            launch_id,
            gate=said.gate,
            digest=said.digest,
            changes=said.changes(),
            comment=said.comment,
        )
    )


@problem.answered
def accept_offer(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/accept."""
    _query(request)
    actor = _signed_in(request)
    return _launch(amend.accept(gonogo(), actor, launch_id, _body(request, bodies.Accept).digest))


@problem.answered
def why_launch(request: Request, launch_id: str) -> Response:
    """GET /v1/launches/{id}/why."""
    _query(request)
    return _reply(bodies.why_view(why.why(gonogo(), _signed_in(request), launch_id)))


@problem.answered
def diff_launch(request: Request, launch_id: str) -> Response:
    """GET /v1/launches/{id}/diff."""
    _query(request)
    _signed_in(request)
    question = read.launch(gonogo(), launch_id).question
    if not question.changes_policy:
        raise NotFoundError("It is no change of policy, so there is no difference to show.")
    return _reply(bodies.PolicyDiff(policies.difference(gonogo(), question)))


@problem.answered
def get_delegation(request: Request) -> Response:
    """GET /v1/delegation."""
    query = _query(request, "of")
    reader = _signed_in(request)
    return _delegation(delegate.show(gonogo(), _actor(query, "of", reader)))


@problem.answered
def put_delegation(request: Request) -> Response:
    """PUT /v1/delegation."""
    query = _query(request, "of")
    by = _signed_in(request)
    said = _body(request, bodies.Delegate)
    return _delegation(
        delegate.delegate(
            gonogo(),
            by,
            whom=_actor(query, "of", by),
            to=said.to.actor(),
            since=said.since,
            until=said.until,
        )
    )


@problem.answered
def end_delegation(request: Request) -> Response:
    """DELETE /v1/delegation."""
    query = _query(request, "of")
    by = _signed_in(request)
    return _delegation(delegate.withdraw(gonogo(), by, _actor(query, "of", by)))


def _delegation(found: Delegation) -> Response:
    return _reply(bodies.delegation_view(found, gonogo().now()))


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
def extend_launch(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/extend: the launch, extended; or, 202, the one that waits for gates first."""
    _query(request)
    actor = _signed_in(request)
    said = _body(request, bodies.Extend)
    launch = extend.extend(gonogo(), actor, launch_id, until=said.end(), reason=said.reason)
    if launch.id == launch_id:
        return _launch(launch)
    headers = {"Location": f"../{launch.id}", "ETag": _etag(launch)}
    return _reply(bodies.launch_view(launch), HTTPStatus.ACCEPTED, headers)


@problem.answered
def report_launch(request: Request, launch_id: str) -> Response:
    """POST /v1/launches/{id}/report."""
    _query(request)
    actor = _signed_in(request)
    return _launch(report.report(gonogo(), actor, launch_id, _body(request, bodies.MakeReport).report()))


@problem.answered
def inbox(request: Request) -> Response:
    """GET /v1/inbox."""
    query = _query(request, "cursor", "limit")
    reader = _signed_in(request)
    page = read.inbox(gonogo(), reader, cursor=query.get("cursor"), limit=_limit(query))
    return _reply(bodies.inbox_page(page))


@problem.answered
def list_deliveries(request: Request) -> Response:
    """GET /v1/deliveries: those that were given up, or wait for another try."""
    query = _query(request, "trouble", "cursor", "limit")
    reader = _signed_in(request)
    page = deliveries.in_trouble(
        gonogo(), reader, _trouble(query), cursor=query.get("cursor"), limit=_limit(query)
    )
    return _reply(bodies.delivery_page(page))


@problem.answered
def launch_deliveries(request: Request, launch_id: str) -> Response:
    """GET /v1/launches/{id}/deliveries: every notice of a launch."""
    _query(request)
    told = deliveries.of_launch(gonogo(), _signed_in(request), launch_id)
    return _reply(bodies.DeliveryPage(tuple(bodies.delivery_view(one) for one in told), None))


@problem.answered
def redeliver(request: Request, delivery_id: str) -> Response:
    """POST /v1/deliveries/{id}/redeliver: it is sent by whoever sends notices, and not here."""
    _query(request)
    asker = _signed_in(request)
    _body(request, bodies.Nothing, empty=b"{}")
    again = deliveries.redeliver(gonogo(), asker, delivery_id)
    return _reply(bodies.delivery_view(Told(again, shows_errors=True)), HTTPStatus.ACCEPTED)


@problem.answered
def list_templates(request: Request) -> Response:
    """GET /v1/templates."""
    _query(request)
    return _reply(bodies.templates(_signed_in(request).policy))


@problem.answered
def get_policy(request: Request) -> Response:
    """GET /v1/policy: the one in force, or the one of a digest."""
    query = _query(request, "bundle")
    reader = _signed_in(request)
    digest = query.get("bundle")
    if digest is None or digest == reader.policy.digest:
        return _reply(bodies.policy_view(reader.policy))
    if not re.fullmatch("[0-9a-f]{64}", digest, re.ASCII):
        raise InvalidError(Fault("bundle", "digest", "is 64 hex digits in lower case"))
    try:
        return _reply(bodies.policy_view(gonogo().policies.pinned(digest)))
    except PolicyMissingError as error:
        raise NotFoundError(str(error)) from error


@problem.answered
def put_policy(request: Request) -> Response:
    """PUT /v1/policy: a launch that puts another policy in force, once the gate `policy` is GO."""
    _query(request)
    asker = _signed_in(request)
    said = _body(request, bodies.PutPolicy, largest=LARGEST_POLICY)
    launch = policies.propose(gonogo(), asker, said.files, said.reason, _idempotency_key(request))
    return _reply(
        bodies.launch_view(launch),
        HTTPStatus.ACCEPTED,
        {"Location": f"launches/{launch.id}", "ETag": _etag(launch)},
    )


@problem.answered
def health() -> Response:
    """GET /healthz."""
    outside = gonogo()
    return _reply(bodies.Health("ok", __version__, outside.epoch, outside.passed.lost() is not None))


@problem.answered
def openapi() -> Response:
    """GET /openapi.json."""
    from functions.openapi import document

    return _reply(document())


def _body(request: Request, kind: type[T], *, empty: bytes = b"", largest: int = strict.LARGEST) -> T:
    strict.check_type(request.headers.get("content-type"))
    return strict.decode(request.raw_body or empty, kind, largest)


def _signed_in(request: Request) -> SignedIn:
    return identity.sign_in(gonogo(), request.headers.get("authorization"), source_of(request))


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


def _trouble(query: dict[str, str]) -> Trouble:
    try:
        found: Trouble = msgspec.convert(query.get("trouble", "failed"), Trouble)
    except msgspec.ValidationError:
        raise InvalidError(Fault("trouble", "enum", f"is one of {', '.join(get_args(Trouble))}")) from None
    return found


def _requester(query: dict[str, str], reader: Principal) -> Actor:
    return _actor(query, "requester", reader)


def _actor(query: dict[str, str], name: str, reader: Principal) -> Actor:
    """Return the actor that a query parameter names: `me`, or issuer#subject."""
    text = query.get(name, "me")
    if text == "me":
        return reader.actor
    try:
        asked = Actor.parse(text)
        return msgspec.convert({"issuer": asked.issuer, "subject": asked.subject}, bodies.ActorBody).actor()
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidError(Fault(name, "actor", f"is `me`, or: {error}")) from None


LONGEST_KEY = 255


def _idempotency_key(request: Request) -> str | None:
    key: str | None = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidError(
            Fault("Idempotency-Key", "header", f"is 1 to {LONGEST_KEY} printable ASCII characters")
        )
    return key
