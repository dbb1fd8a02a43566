"""Clients for where things are launched: in gonogo's own account, or in another by the role that its plan names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from gonogo.aws.clients import assumed, call, client
from gonogo.core.plan import Account, Place

Clients = Callable[[str, Place], Any]
"""Returns a boto3 client of a service for a place."""

Part = Literal["role", "observer"]
SOON = timedelta(minutes=5)
"""How long before its credentials end a client is made anew."""
SESSION = 3600
"""Seconds: what a role gives at most where one role assumes another (IAM user guide, "Role chaining")."""


class _Given(NamedTuple):
    """What AssumeRole gave, and until when."""

    credentials: Mapping[str, Any]
    until: datetime


class Accounts:
    """Makes clients, each once for its service and place; other accounts' by one of the two roles of the plan.

    A role is assumed once for all services and regions of its account, and anew before that ends.
    """

    def __init__(self, part: Part, region: str, now: Callable[[], datetime]) -> None:
        """Take which of an account's roles to assume, gonogo's own region, and the clock."""
        self._part, self._region, self._now = part, region, now
        self._given: dict[Account, _Given] = {}
        self._made: dict[tuple[str, Place], tuple[Any, _Given | None]] = {}

    def __call__(self, service: str, place: Place) -> Any:
        """Return the client.

        Raises:
            RefusedError: the role may not be assumed: it is not in the list, or does not trust this external id.
            LaterError: it could not be assumed now.
        """
        given = self._assumed(place.account) if place.account is not None else None
        made, by = self._made.get((service, place), (None, None))
        if made is None or by is not given:
            made = (
                assumed(service, place.region, given.credentials) if given else client(service, place.region)
            )
            self._made[service, place] = made, given
        return made

    def _assumed(self, account: Account) -> _Given:
        given = self._given.get(account)
        if given is None or given.until - self._now() < SOON:
            answer = call(
                self("sts", Place(self._region)).assume_role,
                RoleArn=getattr(account, self._part),
                RoleSessionName=f"gonogo-{self._part}",
                ExternalId=account.external_id,
                DurationSeconds=SESSION,
            )
            credentials = answer["Credentials"]
            given = _Given(credentials, credentials["Expiration"].astimezone(UTC))
            self._given[account] = given
        return given
