"""The same notices to those who are reached by webhook: the only function that calls out."""

from __future__ import annotations

from typing import Any

import msgspec

from functions import messages
from functions.bodies import LaunchView, launch_view
from gonogo.bootstrap import gonogo
from gonogo.core.errors import RefusedError
from gonogo.core.event import Event
from gonogo.service import notify
from gonogo.service.notify import Notice


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a webhook is posted: type, timestamp and data, as the Standard Webhooks specification has it."""

    type: str
    timestamp: str
    data: Data


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told; `token` is what to post to v1/decisions, and stands here for private webhooks only."""

    launch: LaunchView
    link: str
    gate: str | None = None
    round: int | None = None
    event: dict[str, Any] | None = None
    token: str | None = None


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Post the webhooks that a batch of messages calls for."""
    return messages.each(event, lambda message: notify.tell(gonogo(), messages.cue(message), "webhook", send))


def send(notice: Notice) -> None:
    """Post one notice to a person's webhook; its id is the same on every try."""
    outside, webhook = gonogo(), notice.person.webhook
    if webhook is None:
        raise RefusedError("Unreachable", "this person has no webhook any more")
    outside.caller.post(
        webhook.url,
        msgspec.json.encode(body(notice)),
        message_id=notice.id,
        at=notice.at,
        secrets=outside.secrets.read(webhook.secret),
    )


def body(notice: Notice) -> Body:
    """Return what is posted."""
    happened: Event | None = notice.happened
    return Body(
        type=f"notice.{notice.topic}",
        timestamp=msgspec.to_builtins(notice.at),
        data=Data(
            launch=launch_view(notice.launch),
            gate=notice.gate.name if notice.gate else None,
            round=notice.gate.round if notice.gate else None,
            event=happened.data if happened else None,
            link=notice.link,
            token=notice.code,
        ),
    )
