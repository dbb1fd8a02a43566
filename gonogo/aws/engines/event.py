"""Engine `event`: nothing is called. An outside system hears that a launch is cleared, launches it, and reports."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gonogo.aws.engines import specs
from gonogo.aws.engines.priced import Priced, units_of
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault, InvalidError, MakingError
from gonogo.core.plan import Place, Plan, Unit
from gonogo.ports import Files

PEOPLE = "people.toml"


class Reporter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The system that launches it, and reports: a service of people.toml."""

    issuer: str
    subject: str


class Counted(Priced, frozen=True, forbid_unknown_fields=True):
    """So many of what the price table knows under [hourly.event.REGION]; an outside system may count more of it."""

    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who launches it, what of it has a price, and in `order` whatever else that system needs to know."""

    reporter: Reporter
    units: Annotated[tuple[Counted, ...], Meta(min_length=1, max_length=20)]
    order: Any = None


class Event:
    """`ports.Engine` of what an outside system launches: its cues are events, its answers are reports."""

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Return the spec as it is, once its reporter is known, and its units."""
        del place
        whole = specs.read(spec, Spec, "event")
        reporter = Actor(whole.reporter.issuer, whole.reporter.subject)
        if reporter not in _services(files):
            raise InvalidError(
                Fault("/template", "reporter", f"{reporter.key!r} is no service of people.toml")
            )
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        return plain, units_of(whole.units)

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Wait for the report: the cue that brought us here is the outside system's too."""
        del plan, token, tags, files
        raise MakingError("an outside system launches it, and will report", told=True)

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return nothing: only the outside system can tell."""
        del plan, token
        return ()

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Wait for the report: launch.change_requested is the outside system's cue too."""
        del plan, resources

    start = terminate = stop


def _services(files: Mapping[str, str]) -> frozenset[Actor]:
    """Return the services of a bundle whose people are checked already."""
    people = tomllib.loads(files[PEOPLE])["people"]
    return frozenset(Actor(one["issuer"], one["subject"]) for one in people if one.get("service"))
