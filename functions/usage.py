"""What a biller reads over the API: the records of a month, their sums, the chart of them, and the reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import msgspec
from chalice.app import Response

from functions import problem, usage_bodies
from functions.api import Request, _limit, _query, _reply, _signed_in
from functions.bodies import CostCenter
from functions.headers import SECURITY_HEADERS
from gonogo.bootstrap import gonogo
from gonogo.core.errors import Fault, InvalidError, NotFoundError
from gonogo.core.reports import Name
from gonogo.ports import Page
from gonogo.service import billing

NAMES: tuple[Name, ...] = get_args(Name)


@problem.answered
def list_usage(request: Request) -> Response:
    """GET /v1/usage."""
    query = _query(request, "month", "cost_center", "cursor", "limit")
    _signed_in(request)
    page = billing.records(
        gonogo(), _month(query), _cost_center(query), cursor=query.get("cursor"), limit=_limit(query)
    )
    return _reply(usage_bodies.usage_page(page))


@problem.answered
def sum_usage(request: Request) -> Response:
    """GET /v1/usage/summary."""
    query = _query(request, "month", "cost_center", "cursor")
    _signed_in(request)
    month, cost_center = _month(query), _cost_center(query)
    sums = billing.sums(gonogo(), month, cost_center, cursor=query.get("cursor"))
    return _reply(usage_bodies.usage_sums(month, cost_center, sums))


@problem.answered
def draw_usage(request: Request) -> Response:
    """GET /v1/usage/chart."""
    from functions import chart

    query = _query(request, "month", "cost_center")
    _signed_in(request)
    month, cost_center = _month(query), _cost_center(query)
    sums = billing.sums(gonogo(), month, cost_center, cursor=None)
    drawn = chart.draw(month, cost_center, sums.items, is_whole=sums.cursor is None)
    return Response(body=drawn, status_code=200, headers={**SECURITY_HEADERS, "Content-Type": chart.MEDIA})


@problem.answered
def report(request: Request, name: str) -> Response:
    """GET /v1/reports/{name}."""
    query = _query(request, "month", "cursor", "limit")
    _signed_in(request)
    month, cursor, limit = _month(query), query.get("cursor"), _limit(query)
    made: dict[Name, Callable[[], Page]] = {
        "approved-never-ran": lambda: billing.approved_never_ran(gonogo(), month, cursor=cursor, limit=limit),
        "ran-never-approved": lambda: billing.ran_never_approved(gonogo(), month, cursor=cursor, limit=limit),
        "past-lease": lambda: billing.past_lease(gonogo(), month, cursor=cursor),
        "estimate": lambda: billing.estimates(gonogo(), month, cursor=cursor),
    }
    if name not in NAMES:
        raise NotFoundError(f"There is no such report; there are {', '.join(NAMES)}.")
    return _reply(usage_bodies.report(name, month, made[name]()))


def _month(query: dict[str, str]) -> str:
    """Return the month that is asked for: the UTC month, such as 2026-11."""
    if "month" not in query:
        raise InvalidError(Fault("month", "required", "is missing: a month such as 2026-11"))
    return query["month"]


def _cost_center(query: dict[str, str]) -> str | None:
    if "cost_center" not in query:
        return None
    try:
        found: Any = msgspec.convert(query["cost_center"], CostCenter)
    except msgspec.ValidationError:
        raise InvalidError(Fault("cost_center", "shape", "is no cost center")) from None
    return str(found)
