"""Clients for where things are launched: in gonogo's own account, or in another by the role that its plan names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gonogo.aws.clients import assumed, call, client
from gonogo.core.plan import Place

Clients = Callable[[str, Place], Any]
"""Returns a boto3 client of a service for a place."""

Part = Literal["role", "observer"]
SOON = timedelta(minutes=5)
"""How long before its credentials end a client is made anew."""
SESSION = 3600
"""Seconds: what a role gives at most where one role assumes another (IAM user guide, "Role chaining")."""


class Accounts:
    """Makes clients, each once for its service and place; other accounts' by one of the two roles of the plan."""

    def __init__(self, part: Part, region: str, now: Callable[[], datetime]) -> None:
        """Take which of an account's roles to assume, gonogo's own region, and the clock."""
        self._part, self._region, self._now = part, region, now
        self._made: dict[tuple[str, Place], tuple[Any, datetime | None]] = {}

    def __call__(self, service: str, place: Place) -> Any:
        """Return the client.

        Raises:
            RefusedError: the role may not be assumed: it is not in the list, or does not trust this external id.
            LaterError: it could not be assumed now.
        """
        made, until = self._made.get((service, place), (None, None))
        if made is None or (until is not None and until - self._now() < SOON):
            made, until = self._new(service, place)
            self._made[service, place] = made, until
        return made

    def _new(self, service: str, place: Place) -> tuple[Any, datetime | None]:
        if place.account is None:
            return client(service, place.region), None
        answer = call(
            client("sts", self._region).assume_role,
            RoleArn=getattr(place.account, self._part),
            RoleSessionName=f"gonogo-{self._part}",
            ExternalId=place.account.external_id,
            DurationSeconds=SESSION,
        )
        given = answer["Credentials"]
        return assumed(service, place.region, given), given["Expiration"].astimezone(UTC)
