"""Tells the default bus what became of instances, as EC2 does and moto does not: in every account and region."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from moto.ec2.models import ec2_backends

from local import bus
from local.aws import Arn
from local.pump import Outcome, Pump

ON_THE_WAY: Mapping[str, str] = {"running": "pending", "stopped": "stopping", "terminated": "shutting-down"}
"""What EC2 announces before a state that lasts (EC2 user guide, "Instance lifecycle")."""


class InstanceWatch(Pump):
    """Compares what DescribeInstances would show with what it showed before, in every account and region in use."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Take the clock that goes into the events."""
        super().__init__("EC2", source="", look_anyway=0.2)
        self._now = now
        self._known: dict[str, str] = {}

    def step(self) -> Outcome:
        """Announce every instance whose state changed."""
        worked = Outcome.IDLE
        for account, region, instance, state in self._instances():
            if self._known.get(instance) != state:
                for each in (ON_THE_WAY[state], state) if state in ON_THE_WAY else (state,):
                    self._announce(account, region, instance, each)
                self._known[instance] = state
                worked = Outcome.WORKED
        return worked

    @staticmethod
    def _instances() -> Iterator[tuple[str, str, str, str]]:
        for account, regions in list(ec2_backends.items()):
            for region, backend in list(regions.items()):
                for reservation in list(backend.reservations.values()):
                    for instance in reservation.instances:
                        # moto has no other name for it
                        yield account, region, instance.id, instance._state.name  # noqa: SLF001

    def _announce(self, account: str, region: str, instance: str, state: str) -> None:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "EC2 Instance State-change Notification",
            "source": "aws.ec2",
            "account": account,
            "time": self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [f"arn:aws:ec2:{region}:{account}:instance/{instance}"],
            "detail": {"instance-id": instance, "state": state},
        }
        bus.arrive(Arn("events", region, account, "event-bus/default"), event)
