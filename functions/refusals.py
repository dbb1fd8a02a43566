"""Chalice's own refusals, said as problems like all others."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from functions import problem

_DETAILS = {
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "media-type",
        "Send application/json; the decision page sends a form.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method", "This path has no such method."),
    HTTPStatus.NOT_FOUND: ("not-found", "There is no such path."),
    HTTPStatus.FORBIDDEN: ("not-found", "There is no such path."),
}


def as_problem(answer: dict[str, Any]) -> dict[str, Any]:
    """Return Chalice's answer as a problem; one that says nothing where we do not know it."""
    status = HTTPStatus(answer["statusCode"])
    if status not in _DETAILS:
        return problem.unexpected().to_dict()
    slug, detail = _DETAILS[status]
    return problem.response(status, slug, status.phrase, detail).to_dict()
