"""The same notices to those who are reached by webhook: the only function that calls out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from functions import messages
from functions.bodies import LaunchView, launch_view
from gonogo.bootstrap import gonogo
from gonogo.core.actor import Actor
from gonogo.core.delivery import ASKING
from gonogo.core.errors import RefusedError
from gonogo.core.event import Change
from gonogo.core.plan import changes
from gonogo.service import notify
from gonogo.service.notify import Notice


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a webhook is posted: type, timestamp and data, as the Standard Webhooks specification has it."""

    type: str
    timestamp: str
    data: Data


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of a launch, or, in `event` alone, of who stands in for whom.

    `kind` and `place` are the gate's, which takes decisions until `expires_at`; `instead_of` are those in whose
    place alone the reader may decide. `token` is what to post to v1/decisions: it stands here for hooks, and
    of human gates for private webhooks only.
    """

    link: str
    launch: LaunchView | None = None
    gate: str | None = None
    kind: str | None = None
    place: str | None = None
    round: int | None = None
    expires_at: datetime | None = None
    instead_of: tuple[Actor, ...] = ()
    changes: tuple[Change, ...] = ()
    event: dict[str, Any] | None = None
    token: str | None = None


TIME = timedelta(seconds=100)
"""After which no post of a batch is begun: the last may take ten seconds, and Lambda ends it all after 150."""


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Post the webhooks that a batch of messages calls for."""
    until = gonogo().now() + TIME
    return messages.each(event, lambda one: notify.tell(gonogo(), messages.cue(one), "webhook", send, until))


def send(notice: Notice) -> None:
    """Post one notice to a webhook; its id is the same on every try."""
    outside, webhook = gonogo(), notice.person.webhook
    if webhook is None:
        raise RefusedError("Unreachable", "this person has no webhook any more")
    outside.caller.post(
        webhook.url,
        msgspec.json.encode(body(notice)),
        message_id=_message_id(notice, outside.epoch),
        at=notice.at,
        secrets=outside.secrets.read(webhook.secret),
    )


def _message_id(notice: Notice, epoch: int) -> str:
    """Return the id of a notice; what asks in another epoch brings another token, and is another message."""
    return notice.id if epoch == 1 or notice.topic not in ASKING else f"{notice.id}-{epoch}"


def body(notice: Notice) -> Body:
    """Return what is posted."""
    happened, gate, launch = notice.happened, notice.gate, notice.launch
    was = launch.was if launch and notice.topic in ASKING else None
    return Body(
        type=f"notice.{notice.topic}",
        timestamp=msgspec.to_builtins(notice.at),
        data=Data(
            launch=launch_view(launch) if launch else None,
            gate=gate.name if gate else None,
            kind=gate.kind if gate else None,
            place=gate.place if gate else None,
            round=gate.round if gate else None,
            expires_at=gate.expires_at if gate else None,
            instead_of=notice.instead_of,
            changes=changes(was, launch.question) if launch and was else (),
            event=happened.data if happened else None,
            link=notice.link,
            token=notice.code,
        ),
    )
