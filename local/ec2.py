"""Tells the default bus what became of instances, as EC2 does and moto does not."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from moto.ec2.models import ec2_backends

from local.aws import ACCOUNT, client
from local.pump import Outcome, Pump

ON_THE_WAY: Mapping[str, str] = {"running": "pending", "stopped": "stopping", "terminated": "shutting-down"}
"""What EC2 announces before a state that lasts (EC2 user guide, "Instance lifecycle")."""


class InstanceWatch(Pump):
    """Compares what DescribeInstances would show with what it showed before, in every region in use."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Take the clock that goes into the events."""
        super().__init__("EC2", source="", look_anyway=0.2)
        self._now = now
        self._known: dict[str, str] = {}

    def step(self) -> Outcome:
        """Announce every instance whose state changed."""
        worked = Outcome.IDLE
        for region, instance, state in self._instances():
            if self._known.get(instance) != state:
                for each in (ON_THE_WAY[state], state) if state in ON_THE_WAY else (state,):
                    self._announce(region, instance, each)
                self._known[instance] = state
                worked = Outcome.WORKED
        return worked

    @staticmethod
    def _instances() -> Iterator[tuple[str, str, str]]:
        for region, backend in list(ec2_backends[ACCOUNT].items()):
            for reservation in list(backend.reservations.values()):
                for instance in reservation.instances:
                    yield region, instance.id, instance._state.name  # noqa: SLF001  moto has no other name for it

    def _announce(self, region: str, instance: str, state: str) -> None:
        entry: Any = {
            "Source": "aws.ec2",
            "DetailType": "EC2 Instance State-change Notification",
            "Resources": [f"arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance}"],
            "Time": self._now(),
            "Detail": json.dumps({"instance-id": instance, "state": state}),
        }
        client("events", region).put_events(Entries=[entry])
