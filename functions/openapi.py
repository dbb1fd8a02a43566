"""The API in OpenAPI 3.1, made from the very types that decode the requests and encode the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from functions import bodies, usage_bodies
from gonogo import __version__
from gonogo.core.delivery import Trouble
from gonogo.core.reports import Name
from gonogo.core.states import State

REFS = "#/components/schemas/{name}"
COMMANDS = ("cancel", "retry", "stop", "start", "terminate")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path; `answer` None means that it answers no JSON, but `media`: a page, or a picture.

    `also` is a second status with which it succeeds, with the same answer.
    """

    method: str
    path: str
    summary: str
    answer: type | None
    media: str = "text/html"
    success: int = 200
    also: int | None = None
    body: type | None = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    signed_in: bool = True
    problems: tuple[int, ...] = ()


def _command(name: str) -> Operation:
    return Operation(
        method="post",
        path=f"/v1/launches/{{id}}/{name}",
        summary=f"{name.capitalize()} a launch.",
        body=bodies.Nothing,
        answer=bodies.LaunchView,
        success=202 if name in ("stop", "start", "terminate") else 200,
        problems=(404, 409),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/launches",
        summary="Ask for a launch; with dry_run=true (200), only hear what would happen.",
        body=bodies.Submit,
        answer=bodies.LaunchView,
        success=201,
        query=("dry_run",),
        headers=("Idempotency-Key",),
        problems=(422,),
    ),
    Operation(
        method="get",
        path="/v1/launches",
        summary="List launches, newest first: one's own, somebody's, or those in a state.",
        answer=bodies.LaunchPage,
        query=("state", "requester", "cursor", "limit"),
    ),
    Operation(
        method="get",
        path="/v1/launches/{id}",
        summary="Read a launch.",
        answer=bodies.LaunchView,
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/v1/launches/{id}/events",
        summary="Read all that happened to a launch, oldest first.",
        answer=bodies.History,
        problems=(404,),
    ),
    Operation(
        method="post",
        path="/v1/launches/{id}/decisions",
        summary="Decide a gate, or revoke one's decision, signed in.",
        body=bodies.Decide,
        answer=bodies.LaunchView,
        problems=(404, 409),
    ),
    Operation(
        method="post",
        path="/v1/launches/{id}/notes",
        summary="Say how far a hook is, signed in as its system; it decides nothing.",
        body=bodies.MakeNote,
        answer=bodies.LaunchView,
        problems=(404, 409),
    ),
    Operation(
        method="post",
        path="/v1/launches/{id}/amend",
        summary="Ask for something else instead: every decision and code is void, the gates open again.",
        body=bodies.Amend,
        answer=bodies.LaunchView,
        problems=(404, 409),
    ),
    Operation(
        method="post",
        path="/v1/launches/{id}/offers",
        summary="Say, as an approver of an open gate, to what less one would say go.",
        body=bodies.MakeOffer,
        answer=bodies.LaunchView,
        problems=(404, 409),
    ),
    Operation(
        method="post",
        path="/v1/launches/{id}/accept",
        summary="Ask for what was offered instead; whoever offered it has said go to just that.",
        body=bodies.Accept,
        answer=bodies.LaunchView,
        problems=(404, 409),
    ),
    Operation(
        method="get",
        path="/v1/launches/{id}/why",
        summary="Say why a launch waits: policies, gates, who can decide, who did, what is missing, why not you.",
        answer=bodies.WhyView,
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/v1/launches/{id}/diff",
        summary="Show what a change of policy changes, by file.",
        answer=bodies.PolicyDiff,
        problems=(404,),
    ),
    *(_command(name) for name in COMMANDS),
    Operation(
        method="post",
        path="/v1/launches/{id}/extend",
        summary="Let it run for longer: at once (200), or as a launch of its own that waits for gates (202).",
        body=bodies.Extend,
        answer=bodies.LaunchView,
        also=202,
        problems=(404, 409),
    ),
    Operation(
        method="post",
        path="/v1/launches/{id}/report",
        summary="Say what became of it, as the outside system that launches it.",
        body=bodies.MakeReport,
        answer=bodies.LaunchView,
        problems=(404, 409),
    ),
    Operation(
        method="post",
        path="/v1/decisions",
        summary="Decide a gate by the token that was sent for it; the token is the login.",
        body=bodies.DecideByToken,
        answer=bodies.LaunchView,
        signed_in=False,
        problems=(403, 404, 409),
    ),
    Operation(
        method="get",
        path="/v1/usage",
        summary="List the usage records of a month, of all or of one cost center; `limit` counts instance days.",
        answer=usage_bodies.UsagePage,
        query=("month", "cost_center", "cursor", "limit"),
    ),
    Operation(
        method="get",
        path="/v1/usage/summary",
        summary="Add the usage of a month up by day, cost center and currency.",
        answer=usage_bodies.UsageSums,
        query=("month", "cost_center", "cursor"),
    ),
    Operation(
        method="get",
        path="/v1/usage/chart",
        summary="Draw the cost of a month by day.",
        answer=None,
        media="image/svg+xml",
        query=("month", "cost_center"),
    ),
    Operation(
        method="get",
        path="/v1/reports/{name}",
        summary="Report what was approved and never ran, ran and was never approved, ran past its lease, or what"
        " each launch cost against its estimate.",
        answer=usage_bodies.ReportPage,
        query=("month", "cursor", "limit"),
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/v1/inbox",
        summary="List the gates that wait for whoever asks.",
        answer=bodies.InboxPage,
        query=("cursor", "limit"),
    ),
    Operation(
        method="get",
        path="/v1/deliveries",
        summary="List the notices that were given up, or wait for another try after one that failed.",
        answer=bodies.DeliveryPage,
        query=("trouble", "cursor", "limit"),
    ),
    Operation(
        method="get",
        path="/v1/launches/{id}/deliveries",
        summary="List every notice of a launch, oldest first: to whom, by which channel, and what became of it.",
        answer=bodies.DeliveryPage,
        problems=(404,),
    ),
    Operation(
        method="post",
        path="/v1/deliveries/{id}/redeliver",
        summary="Have a notice tried again that was given up, or waits for its next try.",
        body=bodies.Nothing,
        answer=bodies.DeliveryView,
        success=202,
        problems=(404, 409),
    ),
    Operation(
        method="get", path="/v1/templates", summary="List what may be asked for.", answer=bodies.Templates
    ),
    Operation(
        method="get",
        path="/v1/policy",
        summary="Read the policy in force, or the one of a digest.",
        answer=bodies.PolicyView,
        query=("bundle",),
        problems=(404,),
    ),
    Operation(
        method="put",
        path="/v1/policy",
        summary="Ask for another policy: a launch that waits for the gate `policy` of the one in force.",
        body=bodies.PutPolicy,
        answer=bodies.LaunchView,
        success=202,
        headers=("Idempotency-Key",),
        problems=(422,),
    ),
    Operation(
        method="get",
        path="/v1/delegation",
        summary="Tell who decides in one's place, or in somebody's.",
        answer=bodies.DelegationView,
        query=("of",),
        problems=(404,),
    ),
    Operation(
        method="put",
        path="/v1/delegation",
        summary="Say who decides in one's place, or in somebody's, and until when.",
        body=bodies.Delegate,
        answer=bodies.DelegationView,
        query=("of",),
    ),
    Operation(
        method="delete",
        path="/v1/delegation",
        summary="End what one delegates, or somebody; what was decided under it stands.",
        answer=bodies.DelegationView,
        query=("of",),
        problems=(404,),
    ),
    Operation(
        method="get",
        path="/decide",
        summary="The decision page: a form for the code. It never decides.",
        answer=None,
        signed_in=False,
    ),
    Operation(
        method="post",
        path="/decide",
        summary="With a code: show what waits. With a typed answer too: decide.",
        answer=None,
        signed_in=False,
        problems=(403, 404, 409),
    ),
    Operation(
        method="get",
        path="/launches/{id}",
        summary="Where a pointer in a notice leads: how to read and decide the launch signed in.",
        answer=None,
        signed_in=False,
    ),
    Operation(
        method="get",
        path="/home",
        summary="The page of what waits for whoever signs in, and of what they asked for.",
        answer=None,
        signed_in=False,
    ),
    Operation(
        method="get",
        path="/usage",
        summary="The page of what a month cost: it signs in by itself, and asks this API.",
        answer=None,
        signed_in=False,
    ),
    Operation(method="get", path="/", summary="The front page.", answer=None, signed_in=False),
    Operation(
        method="get", path="/healthz", summary="Tell that it answers.", answer=bodies.Health, signed_in=False
    ),
    Operation(method="get", path="/openapi.json", summary="This document.", answer=dict, signed_in=False),
)

_PARAMETERS: dict[str, dict[str, Any]] = {
    "dry_run": {"in": "query", "schema": {"type": "boolean", "default": False}},
    "state": {"in": "query", "schema": {"type": "string", "enum": [str(one) for one in State]}},
    "trouble": {
        "in": "query",
        "schema": {"type": "string", "enum": list(get_args(Trouble)), "default": "failed"},
    },
    "requester": {
        "in": "query",
        "description": "`me`, or issuer#subject, percent-encoded",
        "schema": {"type": "string", "default": "me"},
    },
    "of": {
        "in": "query",
        "description": "`me`, or issuer#subject, percent-encoded",
        "schema": {"type": "string", "default": "me"},
    },
    "bundle": {"in": "query", "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    "cursor": {"in": "query", "schema": {"type": "string", "maxLength": 512}},
    "limit": {"in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}},
    "Idempotency-Key": {
        "in": "header",
        "description": "The same key and body give the same launch, however often they are sent.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
    "month": {
        "in": "query",
        "required": True,
        "description": "in UTC, such as 2026-11",
        "schema": {"type": "string", "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])$"},
    },
    "cost_center": {
        "in": "query",
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9 _.:/@+=-]{0,63}$"},
    },
    "name": {"in": "path", "required": True, "schema": {"type": "string", "enum": list(get_args(Name))}},
    "id": {"in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}},
}


_ANYTHING: dict[str, Any] = {"in": "path", "required": True, "schema": {"type": "string"}}


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    shapes = [shape for one in OPERATIONS for shape in (one.body, one.answer) if shape not in (None, dict)]
    kinds = list(dict.fromkeys([*shapes, bodies.DryRun, bodies.Problem]))
    _, components = msgspec.json.schema_components(kinds, ref_template=REFS)
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gonogo",
            "version": __version__,
            "summary": "Launch requests that wait for a GO.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (OpenID Connect)"}
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": _name(one),
        "summary": one.summary,
        "security": [{"bearer": []}] if one.signed_in else [],
        "parameters": list(_parameters(one)),
        "responses": {str(one.success): _answer(one)},
    }
    if one.body is not None:
        made["requestBody"] = {
            "required": one.body is not bodies.Nothing,
            "content": {"application/json": {"schema": _ref(one.body)}},
        }
    elif one.method == "post":
        made["requestBody"] = {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": _FORM}},
        }
    if one.also is not None:
        made["responses"][str(one.also)] = _answer(one)
    if "dry_run" in one.query:
        made["responses"]["200"] = _json(bodies.DryRun, "What would happen.")
    for status in _problems(one):
        made["responses"][str(status)] = {
            "description": "A problem.",
            "content": {"application/problem+json": {"schema": _ref(bodies.Problem)}}
            if one.answer is not None or one.path.startswith("/v1")
            else {"text/html": {}},
        }
    if one.answer is None and "415" in made["responses"]:  # by the gateway's adapter, before there is a page
        made["responses"]["415"]["content"]["application/problem+json"] = {"schema": _ref(bodies.Problem)}
    return made


_FORM = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("code", "digest", "answer", "comment")},
    "required": ["code"],
    "additionalProperties": False,
}


def _problems(one: Operation) -> list[int]:
    statuses = {*one.problems, 500}
    if one.path.startswith("/v1"):
        statuses |= {400, 503}
    if one.body is not None or one.method == "post":
        statuses |= {400, 413, 415, 503}
    if one.signed_in:
        statuses |= {401, 403, 429}
    if one.path in ("/v1/decisions", "/decide") and one.method == "post":
        statuses |= {429}
    if one.path == "/decide" and one.method == "post":
        statuses |= {422}
    return sorted(statuses)


def _parameters(one: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in one.path:
        # a page shows the same whatever stands there
        yield {"name": "id", **(_PARAMETERS["id"] if one.answer is not None else _ANYTHING)}
    in_path = [name for name in ("name",) if f"{{{name}}}" in one.path]
    for name in (*in_path, *one.query, *one.headers):
        yield {"name": name, **_PARAMETERS[name]}


def _answer(one: Operation) -> dict[str, Any]:
    if one.answer is None:
        return {"description": "As asked.", "content": {one.media: {}}}
    if one.answer is dict:
        return {
            "description": "This document.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    return _json(one.answer, "As asked.")


def _json(kind: type, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(kind)}}}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": REFS.format(name=kind.__name__)}


def _name(one: Operation) -> str:
    words = [word.strip("{}").replace(".", "_") for word in one.path.split("/") if word]
    return "_".join([one.method, *words]) or one.method
