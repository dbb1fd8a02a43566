"""Values of the core, by name: people, gates, questions, bundles, and a launch in each state of its life."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from gonogo.core import attempts, clock, commands, duration, event, lease, life, plan, policy
from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.event import Event, Price
from gonogo.core.gates import Gate, Verdict
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.lease import Extension
from gonogo.core.plan import Choice, Plan, Question, Unit
from gonogo.core.policy import Principal
from gonogo.core.states import State

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86400))
ISSUER = "http://gonogo.local"


def actor(subject: str) -> Actor:
    """Return whoever the example's issuer knows by this subject."""
    return Actor(ISSUER, subject)


NOBODY: frozenset[Actor] = frozenset()
DEV, LEAD, FINANCE, OPS = (actor(one) for one in ("dev", "lead", "finance", "ops"))
LEAD2, LEAD3, BOSS, STRANGER = (actor(one) for one in ("lead2", "lead3", "boss", "stranger"))
SCANNER, SCANNER2 = (actor(one) for one in ("scanner", "scanner2"))

POLICY = Path(__file__).parents[2] / "policy"

# The bundle


def policy_files(**changed: str | Callable[[str], str] | None) -> dict[str, str]:
    """Return the files of policy/, with some of them changed: by a text, by a function of it, or left out.

    A file is named by its last part, so `gates="..."` is gates.toml and `web_small=...` is
    templates/web-small.toml; `policies` is policies.cedar.
    """
    files = {
        path.relative_to(POLICY).as_posix(): path.read_text()
        for path in sorted(POLICY.rglob("*"))
        if path.is_file()
    }
    names = {Path(path).stem.replace("-", "_"): path for path in files}
    for name, change in changed.items():
        path = names.get(name) or f"templates/{name.replace('_', '-')}.toml"
        if change is None:
            del files[path]
        else:
            files[path] = change if isinstance(change, str) else change(files[path])
    return files


def also(text: str) -> Callable[[str], str]:
    """Return a change that appends to a file."""
    return lambda before: f"{before}\n{text}\n"


def replaced(old: str, new: str) -> Callable[[str], str]:
    """Return a change that replaces what must be in the file, everywhere."""

    def change(before: str) -> str:
        if old not in before:
            raise ValueError(f"there is no {old!r} in the file")
        return before.replace(old, new)

    return change


def bundle(**changed: str | Callable[[str], str] | None) -> Bundle:
    """Return the bundle of policy/, with some of its files changed as for `policy_files`."""
    return policy.accept(policy_files(**changed))


@cache
def example() -> Bundle:
    """Return the bundle of policy/ as it is."""
    return bundle()


def somebody(name: str, *groups: str, more: str = "") -> str:
    """Return an entry for people.toml."""
    listed = ", ".join(f'"{group}"' for group in groups)
    return (
        f'[[people]]\nname = "{name}"\nissuer = "{ISSUER}"\nsubject = "{name}"\ngroups = [{listed}]\n{more}\n'
    )


def asked(
    bundle: Bundle,
    template: str = "web-small",
    *,
    by: Actor = DEV,
    on_behalf_of: Actor | None = None,
    count: int = 1,
    lease: str | None = None,
    **said: Any,
) -> Question:
    """Return the question that a request makes of a template, as `service.submit` does without an engine."""
    rule = bundle.templates[template]
    parameters = bundle.check_parameters(template, {"count": count})
    spec = plan.fill(rule.spec, parameters)
    filled = Plan(
        template=template,
        engine=rule.engine,
        region=rule.region,
        parameters=parameters,
        spec=spec,
        units=(Unit(spec["instance_type"], count),),
    )
    length = plan.lease_for(template, rule.lease, lease)
    return Question(
        name=said.get("name"),
        reason=said.get("reason", "A page for the fair."),
        cost_center=said.get("cost_center", "4711"),
        requester=by,
        on_behalf_of=on_behalf_of,
        lease=length,
        plan=filled,
        price=said.get("price") or bundle.prices.estimate(filled, duration.parse(length)),
    )


def longer(asked: Question, by: str, at: datetime = AT) -> Question:
    """Return the question whether what was asked for, and runs since then, may run for so much longer."""
    previous = at + plan.lease_length(asked.lease)
    until = None if by == plan.NEVER else previous + plan.lease_length(by)
    name = asked.name or asked.plan.template
    return lease.question(
        asked,
        asked.plan,
        Extension(launch="l-1", name=name, digest=asked.digest, previous=previous, until=until),
        started_at=at,
        requester=asked.requester,
        on_behalf_of=asked.on_behalf_of,
        reason="It goes on.",
        launch_by=previous,
    )


def principal(who: Actor, *groups: str) -> Principal:
    """Return somebody who asks, with groups that their token claims."""
    return Principal(who, groups)


# A launch


def question(
    *,
    requester: Actor = DEV,
    on_behalf_of: Actor | None = None,
    reason: str = "A page for the fair.",
    lease: str = "30d",
    count: int = 1,
    launch_by: datetime | None = None,
    break_glass: bool = False,
    choices: int = 0,
) -> Question:
    """Return what DEV asks for: a small web server for 30 days; of other types, where there is none of the first."""
    return Question(
        name="fair",
        reason=reason,
        cost_center="4711",
        requester=requester,
        on_behalf_of=on_behalf_of,
        lease=lease,
        plan=Plan(
            template="web-small",
            engine="ec2",
            region="us-east-1",
            parameters={"count": count},
            spec={"image_id": "ami-0123456789abcdef0", "instance_type": "t3.micro", "count": count},
            units=(Unit("t3.micro", count),),
            choices=tuple(
                Choice(
                    spec={"image_id": "ami-0123456789abcdef0", "instance_type": one, "count": count},
                    units=(Unit(one, count),),
                )
                for one in ("t3a.micro", "t2.micro")[:choices]
            ),
        ),
        price=Price(
            currency="USD",
            version="2026-11-01",
            hourly=Decimal("0.0104") * count,
            monthly=Decimal("7.60") * count,
            worst_case=Decimal("7.49") * count,
        ),
        launch_by=launch_by,
        break_glass=break_glass,
    )


def gate(
    name: str = "lead",
    *approvers: Actor,
    stage: int = 1,
    quorum: int = 1,
    expires_after: str = "3d",
    login: bool = False,
    **more: Any,
) -> Gate:
    """Return a gate that nobody has opened yet; LEAD, LEAD2 and LEAD3 decide it unless told otherwise."""
    return Gate(
        name=name,
        title=name.capitalize(),
        stage=stage,
        quorum=quorum,
        expires_after=expires_after,
        login=login,
        approvers=approvers or (LEAD, LEAD2, LEAD3),
        **more,
    )


def hook(name: str = "scan", *systems: Actor, **more: Any) -> Gate:
    """Return a gate that systems decide before people are asked: SCANNER unless told otherwise."""
    return gate(
        name,
        *(systems or (SCANNER,)),
        **{"kind": "hook", "place": "before_approval", "on_expiry": "reject", **more},
    )


def timer(wait: str | None = "1h", name: str = "cool", **more: Any) -> Gate:
    """Return a gate that the clock decides before the launch."""
    return msgspec.structs.replace(
        gate(name), **{"kind": "timer", "place": "before_launch", "wait": wait, "approvers": (), **more}
    )


def review(name: str = "review", *approvers: Actor, **more: Any) -> Gate:
    """Return a gate at which people look at it after the launch."""
    return gate(name, *approvers, **{"place": "after_launch", **more})


def launch(
    *gates: Gate,
    at: datetime = AT,
    id: str = "l-1",  # noqa: A002 - the field's name
    asks: Question | None = None,
    **more: Any,
) -> Launch:
    """Return a launch just submitted behind these gates; direct without any."""
    return commands.submit(
        id=id,
        question=asks or question(),
        bundle="b" * 64,
        groups=(),
        request_digest="r" * 64,
        gates=gates,
        at=at,
        **more,
    )


def decide(
    this: Launch,
    by: Actor,
    gate: str = "lead",
    verdict: Verdict = "approve",
    *,
    at: datetime = AT,
    digest: str | None = None,
    eligible: frozenset[Actor] | None = None,
    instead_of: tuple[Actor, ...] = (),
) -> Launch:
    """Return the launch with a decision, of somebody whom policy lets decide unless told otherwise.

    `instead_of` have delegated to them, and may decide in their own right.
    """
    may = frozenset(instead_of or {by}) if eligible is None else eligible
    return commands.decide(
        this,
        gate=gate,
        actor=by,
        verdict=verdict,
        digest=digest or this.digest,
        channel="api",
        comment=None,
        eligible=may,
        delegated={by: frozenset(instead_of)},
        at=at,
    )


def approve(this: Launch, by: Actor, gate: str = "lead", at: datetime = AT) -> Launch:
    """Return the launch after one says go."""
    return decide(this, by, gate, at=at)


def reject(this: Launch, by: Actor, gate: str = "lead", at: datetime = AT) -> Launch:
    """Return the launch after one says no."""
    return decide(this, by, gate, "reject", at=at)


def revoke(this: Launch, by: Actor, gate: str = "lead", at: datetime = AT) -> Launch:
    """Return the launch after one takes back what they said."""
    return commands.revoke(this, gate=gate, actor=by, channel="api", at=at)


def awaiting() -> Launch:
    """Return a launch that has one of the two approvals that its gate needs."""
    return approve(launch(gate(quorum=2)), LEAD)


def cleared() -> Launch:
    """Return a launch whose gate is GO."""
    return approve(awaiting(), LEAD2)


def launching() -> Launch:
    """Return a launch that the launcher has claimed."""
    return attempts.claim(cleared(), at=AT)


def running(*resources: str) -> Launch:
    """Return a launch whose instances run: i-1 unless told otherwise."""
    this = attempts.record_started(launching(), resources=resources or ("i-1",), at=AT)
    for one in resources or ("i-1",):
        this = life.observe(this, resource=one, state="running", changed_at=AT, at=AT)
    return this


def stopped() -> Launch:
    """Return a launch whose one instance is stopped."""
    return life.observe(running(), resource="i-1", state="stopped", changed_at=AT, at=AT)


def terminated() -> Launch:
    """Return a launch whose one instance is gone."""
    return life.observe(running(), resource="i-1", state="terminated", changed_at=AT, at=AT)


def failed() -> Launch:
    """Return a launch that the engine refused."""
    return attempts.record_failed(
        launching(), code="InsufficientInstanceCapacity", message="None left.", at=AT
    )


def expired() -> Launch:
    """Return a launch whose gate was not decided in time."""
    return clock.tick(awaiting(), at=AT + 3 * DAY)


LIVES: Mapping[State, Callable[[], Launch]] = {
    State.PENDING_APPROVAL: awaiting,
    State.PENDING: cleared,
    State.LAUNCHING: launching,
    State.RUNNING: running,
    State.STOPPED: stopped,
    State.TERMINATED: terminated,
    State.REJECTED: lambda: reject(awaiting(), LEAD2),
    State.EXPIRED: expired,
    State.CANCELLED: lambda: commands.cancel(awaiting(), actor=DEV, at=AT),
    State.FAILED: failed,
}
"""How a launch of one gate, with a quorum of two, comes into each state."""

# Events


def told(item: Item) -> list[str]:
    """Return the names of what happened, oldest first."""
    return [one.type for one in item.history]


def last(item: Item, kind: type[event.Data]) -> Event:
    """Return the newest event of a kind."""
    return [one for one in item.history if one.type == kind.type][-1]


@dataclass(frozen=True)
class _Schemas:
    by_type: Mapping[str, Any]

    def __call__(self, one: Event) -> None:
        """Raise unless the event's data is valid against its schema."""
        self.by_type[one.type].validate(one.data)


@cache
def schemas() -> _Schemas:
    """Return a check of an event's data against the JSON Schema of its kind."""
    return _Schemas(
        {name: jsonschema_rs.validator_for(event.schema(kind)) for name, kind in event.ALL.items()}
    )


def assert_well_told(item: Item) -> None:
    """Assert that the history has no gap, to its very end, and that each event is of its schema."""
    assert [one.seq for one in item.history] == list(range(item.seq - len(item.history) + 1, item.seq + 1))
    for one in item.history:
        schemas()(one)
