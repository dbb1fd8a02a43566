"""Tells the default bus what became of instances, as EC2 does and moto does not.

Of other regions and accounts it is told too, on the bus of this one, as if infra/forward.yaml stood there.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.moto_api._internal import mock_random

from local import bus
from local.aws import ACCOUNT, REGION, Arn, client
from local.pump import Outcome, Pump

ON_THE_WAY: Mapping[str, str] = {"running": "pending", "stopped": "stopping", "terminated": "shutting-down"}
"""What EC2 announces before a state that lasts (EC2 user guide, "Instance lifecycle")."""


SOURCE, DETAIL_TYPE = "aws.ec2", "EC2 Instance State-change Notification"


class InstanceWatch(Pump):
    """Compares what DescribeInstances would show with what it showed before, in every region and account in use."""

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
                        state = instance._state.name  # noqa: SLF001  moto has no other name for it
                        yield account, region, instance.id, state

    def _announce(self, account: str, region: str, instance: str, state: str) -> None:
        detail = {"instance-id": instance, "state": state}
        resources = [f"arn:aws:ec2:{region}:{account}:instance/{instance}"]
        if account == ACCOUNT:
            entry: Any = {
                "Source": SOURCE,
                "DetailType": DETAIL_TYPE,
                "Resources": resources,
                "Time": self._now(),
                "Detail": json.dumps(detail),
            }
            client("events", region).put_events(Entries=[entry])
        if (account, region) != (ACCOUNT, REGION):
            self._forward(account, region, resources, detail)

    def _forward(self, account: str, region: str, resources: list[str], detail: Mapping[str, str]) -> None:
        """Give an event to this account's default bus as a rule elsewhere does: it stays the other's event."""
        event: Any = {
            "version": "0",
            "id": str(mock_random.uuid4()),
            "detail-type": DETAIL_TYPE,
            "source": SOURCE,
            "account": account,
            "time": self._now().timestamp(),
            "region": region,
            "resources": resources,
            "detail": dict(detail),
        }
        bus.arrive(Arn.read(f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"), event)
