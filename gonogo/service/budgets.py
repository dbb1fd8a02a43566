"""What a launch costs its cost center's budget: how it would stand, what it holds, what it lets go of.

A hold is written to the very version of the ledgers that the launch was judged by, so that of several launches
at once none is judged by a sum that another has changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from gonogo.core import budget, usage
from gonogo.core.budget import Ledger, Standing
from gonogo.core.bundle import Bundle
from gonogo.core.errors import BusyError, ItemExistsError, VersionConflictError
from gonogo.core.launch import Launch
from gonogo.core.lease import Extension, extension_of
from gonogo.core.plan import ENDLESS, Question, lease_length
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from gonogo.ports import Outside
from gonogo.service import saving

HOLDING = (State.PENDING, State.LAUNCHING, State.RUNNING, State.STOPPED)

MOST_DAYS = 4000
"""How many days of all its instances are read at the end of a launch: forty calls."""
_CENT = Decimal("0.01")

Ledgers = Mapping[str, Ledger]
"""The ledgers of one cost center by month, as they were read."""


def has_budget(bundle: Bundle, question: Question) -> bool:
    """Tell whether the question's cost center has a budget, and it costs anything."""
    return question.cost_center in bundle.budgets and question.price.hourly > 0


def may_hold(outside: Outside, launch: Launch, current: Bundle) -> bool:
    """Tell whether a launch's cost center has a budget, by either of the bundles that judge it."""
    return any(has_budget(one, launch.question) for one in (current, outside.policies.pinned(launch.bundle)))


def read(outside: Outside, question: Question, at: datetime) -> Ledgers:
    """Return the ledgers of all months that a launch now would touch: one call."""
    center = question.cost_center
    ids = {month: budget.ledger_id(center, month) for month in asked(question, at)}
    found = outside.items.get_many(Ledger, list(ids.values()))
    return {
        month: found[id_] if id_ in found else budget.opened(center, month, at) for month, id_ in ids.items()
    }


def asked(question: Question, at: datetime) -> dict[str, Decimal]:
    """Return what a launch at this time costs at most, by month; of an extension, what that costs."""
    if question.extends_lease:
        extension = extension_of(question.plan)
        return budget.amounts(question.price.hourly, extension.previous, extension.ends)
    return budget.amounts(question.price.hourly, at, at + lease_length(question.lease))


def stands(
    bundle: Bundle, question: Question, ledgers: Ledgers, at: datetime, launch: str | None = None
) -> Standing | None:
    """Return how a launch would stand by these ledgers and this bundle's limit; None where it has no budget."""
    rule = bundle.budgets.get(question.cost_center)
    if rule is None:
        return None
    return budget.standing(question.cost_center, rule, ledgers, asked(question, at), launch)


def standing(outside: Outside, bundle: Bundle, question: Question) -> Standing | None:
    """Return how a launch would stand now; nothing is read where its cost center has no budget."""
    if not has_budget(bundle, question):
        return None
    now = outside.now()
    return stands(bundle, question, read(outside, question, now), now)


def hold(outside: Outside, launch: Launch, ledgers: Ledgers, at: datetime) -> None:
    """Write into each ledger what the launch holds of it.

    Raises:
        VersionConflictError, ItemExistsError: one has changed since it was read: judge again.
    """
    for month, amount in asked(launch.question, at).items():
        before = ledgers[month]
        after = budget.hold(before, launch.id, amount, at)
        if before.version == 0:
            outside.items.add(after)
        else:
            outside.items.save(before, after)


def write(outside: Outside, question: Question, change: Callable[[Ledgers, datetime], None]) -> None:
    """Make a change of a budget's ledgers, read anew, until none has changed in between; nothing is judged by them.

    Raises:
        BusyError: others kept changing them.
    """
    for _ in range(saving.TRIES):
        now = outside.now()
        with contextlib.suppress(VersionConflictError, ItemExistsError):
            change(read(outside, question, now), now)
            return
    raise BusyError(f"the budget of {question.cost_center!r} kept changing; try again.")


def without(ledgers: Ledgers, target: Launch, extension: Extension) -> Ledgers:
    """Return the ledgers as they are without this extension of a launch, should it be held already."""
    found = dict(ledgers)
    for month, ledger in ledgers.items():
        held = ledger.held.get(target.id)
        if held is not None:
            before = min(held, _until(target, extension.previous, month))
            found[month] = ledger.changed(held={**ledger.held, target.id: before})
    return found


def hold_extended(
    outside: Outside, target: Launch, extension: Extension, ledgers: Ledgers, at: datetime
) -> None:
    """Let a launch hold, of each of these ledgers, what it costs there until the extension ends.

    Raises:
        VersionConflictError, ItemExistsError: one has changed since it was read: judge again.
    """
    for month, before in ledgers.items():
        amount = max(before.held.get(target.id, Decimal(0)), _until(target, extension.ends, month))
        after = budget.hold(before, target.id, amount, at)
        if before.version == 0:
            outside.items.add(after)
        else:
            outside.items.save(before, after)


def _until(launch: Launch, end: datetime, month: str) -> Decimal:
    """Return what a launch that runs costs in a month, if it runs until then."""
    return budget.in_month(launch.question.price.hourly, launch.started_at or launch.at, end, month)


def release(outside: Outside, launch: Launch) -> None:
    """Let go of what the launch holds, but for what it has spent; doing it again changes nothing.

    The launch is read again after each ledger: if it is tried again meanwhile, it holds what it holds.
    """
    if not launch.holds:
        return
    now = outside.now()
    ids = [budget.ledger_id(launch.question.cost_center, month) for month in _may_hold(launch, now)]
    held = [one for one in saving.load_many(outside.items, Ledger, ids).values() if launch.id in one.held]
    spends = spent(outside, launch) if held and launch.state not in HOLDING else {}

    def command(this: Ledger) -> Ledger:
        found = outside.items.get(Launch, launch.id)
        if found is None or found.state in HOLDING:
            return this
        return budget.release(this, launch.id, spends.get(this.month, Decimal(0)), now)

    for ledger in held:
        saving.change(outside.items, ledger, command)


def _may_hold(launch: Launch, now: datetime) -> list[str]:
    """Return the months in which a launch may hold anything, the last thirteen from now on at most."""
    if launch.question.extends_lease:
        return list(asked(launch.question, now))
    begun = launch.started_at or launch.cleared_at or launch.at
    ends = [at + lease_length(launch.question.lease) for at in (begun, now)]
    if launch.started_at is not None:
        ends.append(launch.lease_ends_at or now + ENDLESS)
    return budget.months(begun, min(max(ends), max(begun, now) + _LONGEST_HELD))


_LONGEST_HELD = timedelta(days=31 * budget.MOST_MONTHS)


def spent(outside: Outside, launch: Launch) -> dict[str, Decimal]:
    """Return what a launch that has ended cost by month, to the hundredth: what its instances are billed for.

    Of each instance every day from the launch to its end is read, a hundred in a call: one call for three instances
    and a month, or for one and a quarter, twelve for three and a year; at a kilobyte or so, that is one capacity unit
    a day of each. What has more days than `MOST_DAYS` counts as if all of it had run from its start to its end,
    and takes no call. What is corrected after the launch has ended is in the bill, and not in its budget. What an
    extension costs, the launch that it extended has spent.
    """
    begin, now = launch.at if launch.rolled_back else launch.cleared_at or launch.at, outside.now()
    resources = [one.id for one in launch.resources] + list(launch.rolled_back)
    ended = max((one.changed_at for one in launch.resources if one.changed_at), default=launch.updated_at)
    days = [
        usage.day_of(begin + number * usage.DAY)
        for number in range((max(ended, begin) - begin) // usage.DAY + 2)
    ]
    if len(days) * len(resources) > MOST_DAYS:
        months = budget.months(launch.started_at or launch.at, max(ended, begin))
        return {month: _until(launch, ended, month) for month in months}
    ids = {usage.usage_id(one, day): (one, day) for one in resources for day in days}
    read: dict[str, dict[str, UsageDay]] = {one: {} for one in resources}
    for id_, day in saving.load_many(outside.items, UsageDay, ids).items():
        resource, name = ids[id_]
        read[resource][name] = day
    found: dict[str, Decimal] = {}
    for one in read.values():
        for month, amount in usage.comes_to(one, begin, now).items():
            found[month] = found.get(month, Decimal(0)) + amount
    return {month: amount.quantize(_CENT, rounding=ROUND_UP) for month, amount in found.items()}


def reconcile(outside: Outside, ledger_id: str) -> bool:
    """Hold a ledger against its launches: what has ended, or waits again, holds nothing. Return if it changed."""
    ledger = outside.items.get(Ledger, ledger_id)
    if ledger is None:
        return False

    def command(this: Ledger) -> Ledger:
        now = outside.now()
        if this.due_at is None or now < this.due_at:
            return this
        ids = sorted(this.held)
        found = saving.load_many(outside.items, Launch, ids)
        for id_ in ids:
            launch = found.get(id_)
            if launch is None or launch.state not in HOLDING:
                spends = spent(outside, launch) if launch is not None else {}
                this = budget.release(this, id_, spends.get(this.month, Decimal(0)), now)
        return budget.checked(this, now)

    return saving.change(outside.items, ledger, command) is not ledger
