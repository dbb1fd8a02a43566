"""Which launches would be judged otherwise by another bundle: the same question, put to it anew."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.errors import NotPermittedError
from gonogo.core.event import Price
from gonogo.core.lease import extension_of
from gonogo.core.plan import LEASE_ENGINE, POLICY_ENGINE, Plan, Question, lease_length
from gonogo.core.policy import Principal
from gonogo.service import submit


class _Gate(msgspec.Struct, frozen=True):
    name: str


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A launch as the API shows it, as far as it is judged; `groups` are what the requester's token gave."""

    id: str
    reason: str
    cost_center: str
    requester: Actor
    lease: str
    plan: Plan
    created_at: datetime
    name: str | None = None
    on_behalf_of: Actor | None = None
    launch_by: datetime | None = None
    break_glass: bool = False
    groups: tuple[str, ...] = ()
    gates: tuple[_Gate, ...] = ()

    @property
    def answer(self) -> Answer:
        """How it was judged."""
        names = tuple(sorted(gate.name for gate in self.gates))
        if self.break_glass:
            return Answer(outcome="break_glass", gates=names)
        return Answer(outcome="gates" if names else "direct", gates=names)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What policy says to a launch; `reason` says why not, where it does not."""

    outcome: str
    gates: tuple[str, ...] = ()
    reason: str = ""

    @property
    def words(self) -> str:
        """The outcome and the gates, in one line."""
        return " ".join((self.outcome, *self.gates))


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A launch that would be judged otherwise."""

    id: str
    requester: Actor
    template: str
    then: Answer
    now: Answer


def read(view: dict[str, Any]) -> Past:
    """Return a launch of the API as it is judged; what is not known here is passed over.

    Raises:
        msgspec.ValidationError: it is no launch.
    """
    return msgspec.convert(view, Past)


def compare(bundle: Bundle, launches: Iterable[Past]) -> list[Difference]:
    """Return those that the bundle answers otherwise than they were answered, in the order given."""
    found = []
    for past in launches:
        then, now = past.answer, judge(bundle, past)
        if (then.outcome, then.gates) != (now.outcome, now.gates):
            found.append(
                Difference(
                    id=past.id, requester=past.requester, template=past.plan.template, then=then, now=now
                )
            )
    return found


def judge(bundle: Bundle, past: Past) -> Answer:
    """Put the launch's question to a bundle, at that bundle's prices; budgets are not looked at.

    The plan stays what it was: nothing is resolved anew. Who or what the bundle does not know is refused.
    """
    if past.requester not in bundle.people and not set(past.groups) & set(bundle.groups):
        return Answer(outcome="refused", reason="Policy knows nobody by that issuer and subject.")
    try:
        if past.plan.engine != POLICY_ENGINE and past.plan.template not in bundle.templates:
            return Answer(outcome="refused", reason=f"There is no template {past.plan.template!r}.")
        price = _price(bundle, past)
        question = Question(
            name=past.name,
            reason=past.reason,
            cost_center=past.cost_center,
            requester=past.requester,
            on_behalf_of=past.on_behalf_of,
            lease=past.lease,
            plan=past.plan,
            price=price,
            launch_by=past.launch_by,
            break_glass=past.break_glass,
        )
        ready = submit.judged(bundle, Principal(past.requester, past.groups), question)
    except NotPermittedError as error:
        return Answer(outcome="refused", reason=str(error))
    return Answer(outcome=ready.judgement.outcome, gates=tuple(sorted(gate.name for gate in ready.gates)))


def _price(bundle: Bundle, past: Past) -> Price:
    """Return what it costs at the bundle's prices; an extension costs what it adds, of what its template makes.

    Raises:
        NotPermittedError: something of it has no price.
    """
    if past.plan.engine != LEASE_ENGINE:
        return bundle.prices.estimate(past.plan, lease_length(past.lease))
    made = msgspec.structs.replace(past.plan, engine=bundle.templates[past.plan.template].engine)
    return bundle.prices.estimate(made, extension_of(past.plan).length)
