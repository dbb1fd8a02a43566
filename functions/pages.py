"""The pages that people see: a code is shown what it is for, and a person types what it decides.

No page sets a cookie, and none but the form for the code has a script. Nothing is decided by a click: a
person types GO, NO-GO or REVOKE, which no scanner of links does, however many controls it presses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache, wraps
from http import HTTPStatus
from typing import Any, ParamSpec, Protocol
from urllib.parse import parse_qsl

import msgspec
from chalice.app import Response

from functions import problem, wording
from functions.bodies import Text
from functions.headers import from_elsewhere, page_headers, source_of
from functions.rendering import inline, templates
from gonogo.bootstrap import gonogo
from gonogo.core import duration, errors, plan, token
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.course import STARTED
from gonogo.core.gates import GateState
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import asking, budgets, policies
from gonogo.service import decide as deciding
from gonogo.service.decide import Shown, Verdict

log = logging.getLogger("gonogo")
P = ParamSpec("P")

FORM = "application/x-www-form-urlencoded"
LARGEST = 8 * 1024
LONGEST_COMMENT = 500
"""Characters, so that a comment in any script fits into `LARGEST` bytes, percent-encoded, beside the code."""

ASKING = frozenset({"code"})
DECIDING = frozenset({"code", "digest", "answer"})

RETRY_AFTER = "5"


class Request(Protocol):
    """As much of `chalice.app.Request` as is used here; `headers` knows its names in lower case."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers."""

    @property
    def context(self) -> Mapping[str, Any]:
        """What the gateway says of it."""

    @property
    def raw_body(self) -> bytes:
        """The body as it came."""


class _NotOurFormError(Exception):
    """The request is none that our own form sends."""

    def __init__(self, status: HTTPStatus, *sentences: str) -> None:
        super().__init__(*sentences)
        self.status, self.sentences = status, sentences


def _guarded(page: Callable[P, Response]) -> Callable[P, Response]:
    """Answer what nobody expected with a page that says nothing of what went wrong inside."""

    @wraps(page)
    def guarded(*arguments: P.args, **named: P.kwargs) -> Response:
        try:
            return page(*arguments, **named)
        except Exception:
            log.exception("unexpected error in the page %s", page.__name__)
            return _refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "Something went wrong here",
                "It is our fault, and it is in our log. If you sent a decision, it may be recorded or not:"
                " open your link again to see.",
            )

    return guarded


@_guarded
def form() -> Response:
    """GET /decide: a form for a code, which knows nothing of any launch."""
    return _page("code.html", script=inline("page/fill.js"))


@_guarded
def landing(path: str = "/") -> Response:
    """GET /: what this is. `path` is what was asked for: without its last slash, links would go astray."""
    if not path.endswith("/"):
        there = {"Location": path.rpartition("/")[2] + "/"}
        return Response("", {**page_headers(style=""), **there}, HTTPStatus.PERMANENT_REDIRECT)
    return _page("landing.html")


@_guarded
def pointer(launch_id: str) -> Response:
    """GET /launches/{id}: how to read and decide it signed in; not even whether there is one."""
    known_form = re.fullmatch(r"l-[a-z2-7]{32}", launch_id, re.ASCII)
    return _page("pointer.html", launch_id=launch_id if known_form else "LAUNCH_ID")


@_guarded
def decide(request: Request) -> Response:
    """POST /decide: with a code alone, show what it is for; with an answer to the digest shown, decide."""
    code, source = "", source_of(request)
    try:
        fields = _fields(request)
        code = fields["code"]
        if "answer" in fields:
            return _decide(gonogo(), code, fields, source)
        return _shown(gonogo(), code, deciding.show(gonogo(), code, source=source))
    except _NotOurFormError as error:
        return _refusal(error.status, "This is not our form", *error.sentences, "Nothing was changed.")
    except errors.GonogoError as error:
        return _refused(error, code)


def _fields(request: Request) -> dict[str, str]:
    """Return the form's fields, each once and each known.

    Raises:
        _NotOurFormError: another site sent it, or it is of another type, too large, or otherwise not ours.
    """
    if from_elsewhere(request.headers, gonogo().public_url):
        raise _NotOurFormError(
            HTTPStatus.FORBIDDEN, "It came from another site. Open the link that you were sent instead."
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise _NotOurFormError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {FORM}.")
    body = request.raw_body
    if len(body) > LARGEST:
        raise _NotOurFormError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"It has {LARGEST} bytes at most.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=len(DECIDING) + 1,
        )
    except ValueError:
        raise _NotOurFormError(HTTPStatus.BAD_REQUEST) from None
    fields = dict(pairs)
    known = (ASKING, DECIDING, DECIDING | {"comment"})
    if len(fields) != len(pairs) or fields.keys() not in known:
        raise _NotOurFormError(HTTPStatus.BAD_REQUEST)
    return fields


_ANSWERS: dict[str, Verdict] = {"GO": "approve", "NOGO": "reject", "REVOKE": "revoke"}


def _verdict(answer: str) -> Verdict | None:
    """Return what was typed; phones make hyphens and blanks of their own."""
    bare = re.sub("[\\s\u00ad\u2010-\u2015\u2212-]+", "-", answer.strip()).upper()
    return _ANSWERS.get("NOGO" if bare == "NO-GO" else bare)


def _comment(text: str) -> str | None:
    """Return the comment, if there is one.

    Raises:
        msgspec.ValidationError: it is too long, or has control characters.
    """
    text = text.replace("\r\n", "\n").strip()
    if not text:
        return None
    if len(text) > LONGEST_COMMENT:
        raise msgspec.ValidationError
    return msgspec.convert(text, Text)


def _decide(outside: Outside, code: str, fields: Mapping[str, str], source: str | None) -> Response:
    verdict = _verdict(fields["answer"])
    if verdict is None:
        return _asked_again(outside, fields, source, "Nothing is decided. Type {words}, and nothing else.")
    try:
        comment = _comment(fields.get("comment", ""))
    except msgspec.ValidationError:
        return _asked_again(
            outside,
            fields,
            source,
            f"Nothing is decided. A comment has {LONGEST_COMMENT} characters at most, and none of control.",
        )
    before = outside.now()
    claim, _, _ = token.read(code, now=before, epoch=outside.epoch)
    launch = deciding.by_token(
        outside, code, verdict=verdict, digest=fields["digest"], comment=comment, source=source
    )
    shown = Shown(launch=launch, gate=launch.gate(claim.gate), actor=claim.actor)
    if verdict == "revoke":
        return _decided(
            outside, code, shown, heading="Your decision is taken back", note="It counts no longer."
        )
    own = shown.gate.decision_of(claim.actor)
    if own is not None and own.at < before:
        return _said_before(outside, code, shown, note="It was recorded before; nothing was changed now.")
    return _decided(outside, code, shown, heading=f"{wording.VERDICTS[verdict]} is recorded")


def _asked_again(outside: Outside, fields: Mapping[str, str], source: str | None, fault: str) -> Response:
    code = fields["code"]
    shown = deciding.show(outside, code, source=source)
    return _shown(outside, code, shown, fault=fault, comment=fields.get("comment", ""))


def _shown(outside: Outside, code: str, shown: Shown, fault: str = "", comment: str = "") -> Response:
    """Show the question, or what became of it."""
    launch, gate = shown.launch, shown.gate
    if gate.decision_of(shown.actor) is not None:
        revocable = asking.can_be_taken_back(launch, gate, shown.actor)
        return _said_before(outside, code, shown, fault=fault.format(words="REVOKE") if revocable else "")
    waits = launch.state in STARTED if gate.is_after else launch.state is State.PENDING_APPROVAL
    if not waits or gate.state is not GateState.OPEN:
        return _decided(outside, code, shown, heading="There is nothing to decide any more")
    asked, was = launch.question, launch.was
    now = outside.now()
    return _page(
        "decision.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        launch=launch,
        gate=gate,
        actor=shown.actor,
        instead_of=shown.instead_of,
        review=gate in launch.reviews,
        changes=wording.differences(plan.changes(was, asked)) if was else [],
        files=policies.difference(outside, asked) if asked.changes_policy else {},
        budget=None if gate.is_after else budgets.standing(outside, outside.policies.current(), asked),
        stands_until=now + duration.parse(gate.valid_for) if gate.valid_for and not gate.is_after else None,
        people=_people(outside),
        code=code,
        fault=fault.format(words="GO or NO\u2011GO"),
        comment=comment,
        longest=LONGEST_COMMENT,
    )


def _said_before(outside: Outside, code: str, shown: Shown, *, note: str = "", fault: str = "") -> Response:
    own = shown.gate.decision_of(shown.actor)
    said = wording.VERDICTS[own.verdict] if own else ""
    heading = f"You have said {said}"
    if own is not None and own.actor != shown.actor:
        heading = f"{wording.named(own.actor, _people(outside)).short} has said {said} in your place"
    return _decided(outside, code, shown, heading=heading, note=note, fault=fault)


def _decided(
    outside: Outside, code: str, shown: Shown, *, heading: str, note: str = "", fault: str = ""
) -> Response:
    own = shown.gate.decision_of(shown.actor)
    return _page(
        "decided.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        heading=heading,
        note=note,
        fault=fault,
        launch=shown.launch,
        gate=shown.gate,
        actor=shown.actor,
        own=own,
        revocable=asking.can_be_taken_back(shown.launch, shown.gate, shown.actor),
        people=_people(outside),
        code=code,
    )


def _people(outside: Outside) -> Mapping[Actor, Person]:
    return outside.policies.current().people


def _refused(error: errors.GonogoError, code: str) -> Response:
    """Say why not, by the table that the API says it by; what went wrong outside is for the log."""
    status, _, title = problem.status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("a decision must wait: %s", error)
        return _refusal(
            status,
            "Please try again",
            "Something that this needs did not answer just now. Open your link again in a minute: it shows"
            " what is recorded.",
        )
    if isinstance(error, errors.TooManyError):
        made = _refusal(
            status,
            title,
            f"Nothing was changed. Please try again in {wording.wait(error.retry_after)}.",
            code=code,
        )
        made.headers.update(problem.limit_headers(error))
        return made
    known = not isinstance(error, errors.TokenInvalidError)
    sentences = (str(error), "Nothing was changed.") if known else (str(error),)
    return _refusal(status, title, *sentences, code=code if status == HTTPStatus.CONFLICT else "")


def _refusal(status: HTTPStatus, heading: str, *sentences: str, code: str = "") -> Response:
    made = _page("refused.html", status=status, heading=heading, sentences=sentences, code=code)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        made.headers["Retry-After"] = RETRY_AFTER
    return made


@cache
def _style() -> Any:
    return inline("page/style.css")


def _page(
    name: str, *, status: HTTPStatus = HTTPStatus.OK, script: str | None = None, **told: Any
) -> Response:
    body = templates().get_template(f"page/{name}").render(style=_style(), script=script or "", **told)
    return Response(body, {**page_headers(style=_style(), script=script)}, status)
