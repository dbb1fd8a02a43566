"""An instance has changed: note it of the instance, then of its launch."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from functions import messages
from gonogo.bootstrap import gonogo
from gonogo.core.launch import InstanceState
from gonogo.service import observe

_ENDS: tuple[InstanceState, ...] = ("running", "stopped", "terminated")


class _Detail(msgspec.Struct, frozen=True, rename={"instance_id": "instance-id"}):
    instance_id: str
    state: str


class _Message(msgspec.Struct, frozen=True, rename={"detail_type": "detail-type"}):
    """An EC2 state change (Amazon EC2 user guide, "State change events for your instances")."""

    source: Literal["aws.ec2"]
    detail_type: Literal["EC2 Instance State-change Notification"]
    region: str
    time: datetime
    detail: _Detail


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Observe what a batch of messages names; states on the way from one to another are passed over."""
    return messages.each(event, one)


def one(message: dict[str, Any]) -> None:
    """Observe one instance."""
    said = msgspec.convert(message, _Message)
    for state in _ENDS:
        if said.detail.state == state:
            observe.observe(
                gonogo(), said.detail.instance_id, region=said.region, said=state, said_at=said.time
            )
