"""Chalice's own refusals, said as problems like all others."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from functions import problem
from gonogo.core.errors import NotAuthenticatedError
from gonogo.service import identity

_DETAILS = {
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "media-type",
        "Send application/json; the decision page sends a form.",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method", "This path has no such method."),
    HTTPStatus.NOT_FOUND: ("not-found", "There is no such path."),
    HTTPStatus.FORBIDDEN: ("not-found", "There is no such path."),
}


def not_signed_in() -> dict[str, Any]:
    """Return the answer to whoever must sign in and sends nothing to do it with."""
    return problem.of(NotAuthenticatedError(identity.HOW)).to_dict()


def as_problem(answer: dict[str, Any]) -> dict[str, Any]:
    """Return Chalice's answer as a problem; one that says nothing where we do not know it."""
    status = HTTPStatus(answer["statusCode"])
    if status not in _DETAILS:
        return problem.unexpected().to_dict()
    slug, detail = _DETAILS[status]
    refused = problem.response(status, slug, status.phrase, detail)
    if "Allow" in answer["headers"]:  # RFC 9110, 15.5.6
        refused.headers["Allow"] = answer["headers"]["Allow"]
    return refused.to_dict()
