"""How a lease is extended: by how much it may be, and the question that asks for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gonogo.core import plan
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault, InvalidError
from gonogo.core.plan import ENDLESS, LEASE_ENGINE, NEVER, Lease, Plan, Question

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """Which launch, of which name, may run until when, that would end at `previous`; None: without an end.

    `digest` is that of the launch: what runs on is what was approved before.
    """

    launch: str
    name: str
    digest: str
    previous: datetime
    until: datetime | None

    @property
    def ends(self) -> datetime:
        """When it ends; without an end it counts as ten years longer."""
        return self.until if self.until is not None else self.previous + ENDLESS

    @property
    def length(self) -> timedelta:
        """How much longer it runs."""
        return self.ends - self.previous

    def spec(self) -> dict[str, Any]:
        """Return it as the spec of a plan."""
        until = _text(self.until) if self.until is not None else NEVER
        return {
            "launch": self.launch,
            "name": self.name,
            "digest": self.digest,
            "previous": _text(self.previous),
            "until": until,
        }


def extension_of(whole: Plan) -> Extension:
    """Return the extension that a plan of engine `lease` is."""
    spec = whole.spec
    until = None if spec["until"] == NEVER else spec["until"]
    return msgspec.convert({**spec, "until": until}, Extension)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def require_within(
    template: str, lease: Lease, *, started_at: datetime, until: datetime | None, now: datetime
) -> None:
    """Raise unless a lease of the template may last until then, from its start on.

    Raises:
        InvalidError: that is over already, or longer than the template allows.
    """
    if until is not None and until <= now:
        raise InvalidError(Fault("/until", "minimum", "is over already"))
    if until is None and lease.max != NEVER:
        raise InvalidError(
            Fault("/until", "maximum", f"template {template!r} lets nothing run without an end")
        )
    if until is not None and until - started_at > plan.lease_length(lease.max):
        latest = _text(started_at + plan.lease_length(lease.max))
        most = "ten years" if lease.max == NEVER else lease.max
        raise InvalidError(
            Fault("/until", "maximum", f"is later than {latest}: template {template!r} allows {most} in all")
        )


def question(
    asked: Question,
    made: Plan,
    extension: Extension,
    *,
    started_at: datetime,
    requester: Actor,
    on_behalf_of: Actor | None,
    reason: str,
    launch_by: datetime | None,
) -> Question:
    """Return the question whether what was `asked`, and `made` by this plan, may run for longer.

    Its lease is the whole one; its price is that of what runs, but for the cost, which is that of the extension.
    It is asked until the lease ends, and no longer.
    """
    total = None if extension.until is None else extension.until - started_at
    return Question(
        name=asked.name,
        reason=reason,
        cost_center=asked.cost_center,
        requester=requester,
        on_behalf_of=on_behalf_of,
        lease=NEVER if total is None else length_text(total),
        plan=Plan(
            template=made.template,
            engine=LEASE_ENGINE,
            region=made.region,
            parameters={},
            spec=extension.spec(),
            units=made.units,
            account=made.account,
        ),
        price=msgspec.structs.replace(
            asked.price, worst_case=plan.cost_of(asked.price.hourly, extension.length)
        ),
        launch_by=launch_by,
    )


def length_text(length: timedelta) -> str:
    """Return a length of time as people write it, such as 37d; what no unit fits is rounded up to the minute."""
    seconds = -(-length // timedelta(seconds=1))
    for unit, size in _UNITS:
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{-(-seconds // 60)}m"
