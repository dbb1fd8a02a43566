"""What DescribeInstances shows of an instance, as EC2 writes it, is read as it is meant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gonogo.aws.engines.ec2 import Ec2Observer
from gonogo.core.plan import Place
from gonogo.ports import Seen

LAUNCHED = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
STOPPED = datetime(2026, 11, 27, 4, 5, 6, tzinfo=UTC)


def seen(state: str, reason: str = "", code: str | None = None) -> Seen:
    """Return how an instance is seen that EC2 shows so."""

    class Client:
        """EC2, with one instance."""

        def describe_instances(self, **_asked: Any) -> dict[str, Any]:
            """Show it."""
            one = {
                "InstanceId": "i-1",
                "InstanceType": "t3.micro",
                "ImageId": "ami-1",
                "State": {"Name": state},
                "StateTransitionReason": reason,
                "LaunchTime": LAUNCHED,
                "ClientToken": "token",
                "Tags": [{"Key": "gonogo:launch", "Value": "l-1"}],
                **({"StateReason": {"Code": code, "Message": code}} if code else {}),
            }
            return {"Reservations": [{"Instances": [one]}]}

    found = Ec2Observer(lambda _service, _place: Client()).look("i-1", Place("us-east-1"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("pending", "", ("pending", False, None)),
        ("running", "", ("running", False, None)),
        ("stopping", "User initiated (2026-11-27 04:05:06 GMT)", (None, False, STOPPED)),
        ("stopped", "User initiated (2026-11-27 04:05:06 GMT)", ("stopped", False, STOPPED)),
        ("shutting-down", "User initiated (2026-11-27 04:05:06 UTC)", (None, True, STOPPED)),
        ("terminated", "User initiated (2026-11-27 04:05:06 GMT)", ("terminated", False, STOPPED)),
        ("stopped", "", ("stopped", False, None)),
        ("terminated", "Server.SpotInstanceTermination", ("terminated", False, None)),
    ],
)
def test_its_state_and_when_it_was_asked_to_stop(state: str, reason: str, expected: tuple[Any, ...]) -> None:
    """A bill is made of this where EC2's event was lost."""
    found = seen(state, reason)
    assert (found.state, found.ending, found.changed_at) == expected
    assert found.began_at == LAUNCHED


@pytest.mark.parametrize(
    ("state", "code", "ran"),
    [
        ("terminated", "Client.UserInitiatedShutdown", True),
        ("terminated", "Client.InstanceInitiatedShutdown", True),
        ("terminated", "Server.SpotInstanceTermination", True),
        ("terminated", "Client.VolumeLimitExceeded", False),
        ("terminated", "Server.InternalError", False),
        ("stopped", "Client.InternalError", False),
        ("running", None, True),
    ],
)
def test_what_failed_to_start_never_ran(state: str, code: str | None, ran: bool) -> None:  # noqa: FBT001 - a fact
    """EC2 shows a LaunchTime of an instance too that ended before it ran, which costs nothing."""
    assert seen(state, code=code).began_at == (LAUNCHED if ran else None)
