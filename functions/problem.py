"""The one table that maps errors to HTTP, as problem+json (RFC 9457) with a stable `type`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from chalice.app import Response

from functions.bodies import FaultView, Problem
from functions.headers import SECURITY_HEADERS
from functions.strict import MediaTypeError
from gonogo.core import errors

log = logging.getLogger("gonogo")
F = TypeVar("F", bound=Callable[..., Response])

TABLE: dict[type[errors.GonogoError], tuple[HTTPStatus, str, str]] = {
    MediaTypeError: (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE.phrase,
    ),
    errors.TooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "The body is too large"),
    errors.InvalidError: (HTTPStatus.BAD_REQUEST, "invalid", "The request breaks a rule"),
    errors.NotAuthenticatedError: (HTTPStatus.UNAUTHORIZED, "not-authenticated", "Sign in"),
    errors.SelfApprovalError: (HTTPStatus.FORBIDDEN, "self-approval", "Nobody decides their own launch"),
    errors.UnreviewedError: (HTTPStatus.FORBIDDEN, "unreviewed", "Your last break-glass launch comes first"),
    errors.NotEligibleError: (HTTPStatus.FORBIDDEN, "not-eligible", "You may not decide this gate"),
    errors.NotPermittedError: (HTTPStatus.FORBIDDEN, "not-permitted", "Policy does not permit it"),
    errors.PolicyMissingError: (HTTPStatus.FORBIDDEN, "no-policy", "There is no policy that could permit it"),
    errors.TokenInvalidError: (HTTPStatus.NOT_FOUND, "token-invalid", "The code is not valid"),
    errors.NotFoundError: (HTTPStatus.NOT_FOUND, "not-found", "There is no such thing"),
    errors.StaleDigestError: (HTTPStatus.CONFLICT, "stale-digest", "The launch has changed"),
    errors.StalePriceError: (HTTPStatus.CONFLICT, "stale-price", "The price has changed"),
    errors.GateNotOpenError: (HTTPStatus.CONFLICT, "gate-not-open", "The gate is not open"),
    errors.AlreadyDecidedError: (HTTPStatus.CONFLICT, "already-decided", "You have decided otherwise"),
    errors.TooManyNotesError: (HTTPStatus.CONFLICT, "too-many-notes", "There are as many notes as may be"),
    errors.KeyReusedError: (HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", "The Idempotency-Key was used"),
    errors.TransitionNotAllowedError: (HTTPStatus.CONFLICT, "wrong-state", "Not in this state"),
    errors.ConflictError: (HTTPStatus.CONFLICT, "conflict", "Not as things stand"),
    errors.TooManyError: (HTTPStatus.TOO_MANY_REQUESTS, "too-many", "Too many at once"),
    errors.BusyError: (HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Others change it too"),
    errors.LaterError: (HTTPStatus.SERVICE_UNAVAILABLE, "try-again", "Something outside did not answer"),
}


def status_of(error: errors.GonogoError) -> tuple[HTTPStatus, str, str]:
    """Return status, short type and title of an error: those of its nearest class in the table."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "This is our fault"


LONGEST, LONGEST_FAULT, MOST_FAULTS = 2000, 500, 50
"""Characters of a problem and of each fault, and how many faults are told: what was sent may be in them."""


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def response(
    status: int, slug: str, title: str, detail: str, faults: tuple[errors.Fault, ...] = ()
) -> Response:
    """Return a problem."""
    body = Problem(
        type=f"urn:gonogo:problem:{slug}",
        title=title,
        status=status,
        detail=_cut(detail, LONGEST),
        errors=tuple(
            FaultView(_cut(one.pointer, LONGEST_FAULT), one.rule, _cut(one.detail, LONGEST_FAULT))
            for one in faults[:MOST_FAULTS]
        ),
    )
    headers: dict[str, Any] = {**SECURITY_HEADERS, "Content-Type": "application/problem+json"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="gonogo"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    return Response(body=msgspec.json.encode(body).decode(), status_code=status, headers=headers)


def of(error: errors.GonogoError) -> Response:
    """Return the problem that an error is."""
    status, slug, title = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("unmapped error", exc_info=error)
        return unexpected()
    faults = error.faults if isinstance(error, errors.InvalidError) else ()
    made = response(status, slug, title, str(error), faults)
    if isinstance(error, errors.TooManyError):
        made.headers.update(limit_headers(error))
    return made


def limit_headers(error: errors.TooManyError) -> dict[str, str]:
    """Return when to try again (RFC 9110, 10.2.3), and which limit it is (draft-ietf-httpapi-ratelimit-headers-11).

    That is a quota `q` in a window of `w` seconds, of which `r` are left, and `t` seconds until there are more.
    """
    name = error.limit.replace(" ", "-")
    return {
        "Retry-After": str(error.retry_after),
        "RateLimit-Policy": f'"{name}";q={error.quota};w={error.window}',
        "RateLimit": f'"{name}";r=0;t={error.retry_after}',
    }


def unexpected() -> Response:
    """Return the problem that says nothing of what went wrong inside."""
    return response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "This is our fault",
        "Something went wrong here, and it is in our log. What you asked for may or may not be done: read"
        " before you ask again, or ask again with the same Idempotency-Key.",
    )


def answered(handler: F) -> F:
    """Answer errors by name as problems, and all others as our fault without particulars."""

    @wraps(handler)
    def guarded(*arguments: Any, **named: Any) -> Response:
        try:
            return handler(*arguments, **named)
        except errors.GonogoError as error:
            return of(error)
        except Exception:
            log.exception("unexpected error in %s", handler.__name__)
            return unexpected()

    return guarded  # type: ignore[return-value]
