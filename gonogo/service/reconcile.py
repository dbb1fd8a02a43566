"""After a restore of the table: find what was made in the time that it lost, before anything is launched anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gonogo.core import reconcile
from gonogo.core.errors import (
    BusyError,
    ItemExistsError,
    PolicyMissingError,
    RefusedError,
    VersionConflictError,
)
from gonogo.core.launch import Launch
from gonogo.core.plan import Place
from gonogo.core.reconcile import Counts, Pass
from gonogo.core.states import TABLE, Command, State
from gonogo.core.watch import id_of
from gonogo.ports import Items, Outside, Seen
from gonogo.service import budgets, saving, watch

PAGE = 25
"""How many launches are looked at in one piece of a pass."""
PIECES = 40
"""How many pieces one waking does; the next goes on."""
MORE_ATTEMPTS = 2
"""How many retries in the lost time are thought of, where each costs a call."""
UNSETTLED = (State.PENDING_APPROVAL, State.PENDING, State.LAUNCHING, State.FAILED)
LIVE = (State.RUNNING, State.STOPPED)
NAMED_BY_TOKEN = ("cloudformation",)
"""Engines whose resources go by their token before they are made whole, which `find` waits for."""
SURVEYED = "ec2"
"""The engine whose places are looked over whole; what others made is looked for token by token."""


class Passes:
    """`ports.Passed`, out of the table: what a process has seen to be done, it does not read again."""

    def __init__(self, items: Items, epoch: int) -> None:
        """Take the table; nothing is read yet, and in the first epoch nothing ever is."""
        self._items = items
        self._epoch = epoch
        self._lost: frozenset[str] | None = frozenset() if epoch == 1 else None

    def lost(self) -> frozenset[str] | None:
        """Return the launches without a record; None until this epoch's pass is done."""
        if self._lost is None:
            found = self._items.get(Pass, reconcile.CURRENT)
            if found is not None and found.epoch == self._epoch and found.is_done:
                self._lost = frozenset(found.lost)
        return self._lost


def go_on(outside: Outside) -> bool:
    """Go on with this epoch's pass, if it is not done yet; return whether it is.

    Raises:
        LaterError: something could not be looked at now; the next waking tries again.
    """
    if outside.passed.lost() is not None:
        return True
    item = _begun(outside)
    if item.epoch != outside.epoch or outside.now() < item.begun_at + reconcile.SETTLES:
        return False
    for _ in range(PIECES):
        if item.is_done:
            return outside.passed.lost() is not None
        after = _PIECES[item.stage](outside, item)
        try:
            outside.items.save(item, after)
        except VersionConflictError:
            return False  # another waking is at it
        item = after
    return False


def _begun(outside: Outside) -> Pass:
    before = outside.items.get(Pass, reconcile.CURRENT)
    if before is not None and before.epoch >= outside.epoch:
        return before
    after = reconcile.begun(before, outside.epoch, _of_policy(outside), outside.now())
    if before is not None:
        return saving.change(outside.items, before, lambda this: after if this is before else this)
    try:
        return outside.items.add(after)
    except ItemExistsError:
        raise BusyError("another waking has just begun this epoch's pass") from None


def _of_policy(outside: Outside) -> list[Place]:
    """Return where the policy in force lets instances be launched."""
    with contextlib.suppress(PolicyMissingError):
        templates = outside.policies.current().templates.values()
        return _distinct([Place(one.region, one.account) for one in templates if one.engine == SURVEYED])
    return []


def _distinct(places: Sequence[Place]) -> list[Place]:
    return list({id_of(one): one for one in places}.values())


def _collect(outside: Outside, item: Pass) -> Pass:
    """Note where launches of one page may have been launched, and adopt what other engines than ec2 made for them."""
    states = (*UNSETTLED, *LIVE)
    launches, cursor = _page(outside, states[item.states], item.cursor)
    adopted, places = 0, list(item.places)
    for launch in launches:
        plan = launch.question.plan
        if plan.engine == SURVEYED:
            places.append(plan.place)
        elif launch.state in UNSETTLED:
            adopted += _adopted(outside, launch, _made_elsewhere(outside, launch))
    more = Counts(looked=len(launches), adopted=adopted)
    return _next(outside, item, len(states), cursor, "survey", places=_distinct(places), more=more)


def _survey(outside: Outside, item: Pass) -> Pass:
    """Look over one place, and see to it that it is watched from now on."""
    if not item.places:
        return reconcile.gone_on(item, stage="ask", at=outside.now())
    place, *others = item.places
    eyes = outside.observer(SURVEYED)
    assert eyes is not None  # noqa: S101 - ec2 always has eyes
    by_launch: dict[str, list[Seen]] = {}
    for page in eyes.survey(place, ours=True):
        for seen in page:
            if seen.launch is not None and len(seen.launch) <= saving.LONGEST_ID:
                by_launch.setdefault(seen.launch, []).append(seen)
    watch.begin_at(outside, place)
    known = saving.load_many(outside.items, Launch, by_launch)
    lost, adopted = [], 0
    for id_, resources in by_launch.items():
        if id_ not in known:
            lost.append(id_)
            continue
        launch = known[id_]
        if launch.state not in UNSETTLED:
            continue
        strange = [one for one in resources if one.id not in launch.rolled_back]
        made = _by_try(launch, place, strange)
        if made:
            adopted += _adopted(outside, launch, made)
        elif strange:
            lost.append(id_)
            with contextlib.suppress(BusyError):
                saving.change(outside.items, launch, lambda this: _given_up(outside, this))
    return reconcile.gone_on(item, places=others, lost=lost, more=Counts(adopted=adopted), at=outside.now())


def _given_up(outside: Outside, this: Launch) -> Launch:
    if this.state not in TABLE[Command.GIVE_UP].leads:
        return this
    return reconcile.give_up(this, at=outside.now())


Made = Mapping[tuple[int, int], tuple[str, ...]]
"""What was made for a launch, by attempt and choice."""


def _by_try(launch: Launch, place: Place, resources: Sequence[Seen]) -> Made:
    """Return what of this was made for the launch: where it was to be, with a client token of its own."""
    made: dict[tuple[int, int], tuple[str, ...]] = {}
    if id_of(launch.question.plan.place) == id_of(place):
        for one in resources:
            tried = reconcile.made_as(launch, one.client_token)
            if tried is not None:
                made[tried] = (*made.get(tried, ()), one.id)
    return made


def _made_elsewhere(outside: Outside, launch: Launch) -> Made:
    """Return what another engine than ec2 has under a token of the launch.

    Raises:
        LaterError: that could not be told now.
    """
    plan = launch.question.plan
    eyes = outside.observer(plan.engine)
    if eyes is None:
        return {}  # only an outside system can tell, and does: by its reports, whose key is the attempt
    made: dict[tuple[int, int], tuple[str, ...]] = {}
    for attempt, choice, token in reconcile.tokens(launch, MORE_ATTEMPTS):
        found = _found(outside, launch, choice, token)
        if not found and plan.engine in NAMED_BY_TOKEN:
            seen = eyes.look(token, plan.place)
            found = (seen.id,) if seen is not None else ()
        if found:
            made[attempt, choice] = found
    return made


def _found(outside: Outside, launch: Launch, choice: int, token: str) -> tuple[str, ...]:
    plan = launch.question.plan.chosen(choice)
    try:
        return outside.finder(plan.engine).find(plan, token=token)
    except RefusedError:
        # something has this name, and is not what the plan says: the launcher will see it too
        return (token,)


def _adopted(outside: Outside, launch: Launch, made: Made) -> bool:
    """Let the launcher go on with the newest that was made, and return if that changes the launch."""
    if not made:
        return False
    attempt, choice = max(made)
    resources = made[attempt, choice]
    holds = _hold(outside, launch)

    def command(this: Launch) -> Launch:
        if this.state not in TABLE[Command.ADOPT].leads:
            return this  # somebody ended it meanwhile: the watch tells of what runs
        return reconcile.adopt(
            this, attempt=attempt, choice=choice, made=resources, holds=holds, at=outside.now()
        )

    return saving.change(outside.items, launch, command) is not launch


def _hold(outside: Outside, launch: Launch) -> bool:
    """Hold of its budget what the launch costs, if that has one; it is asked no more whether there is enough.

    Raises:
        BusyError: others kept changing the budget.
    """
    if not budgets.may_hold(outside, launch, outside.policies.current()):
        return False
    budgets.write(outside, launch.question, lambda ledgers, now: budgets.hold(outside, launch, ledgers, now))
    return True


ASKED = (State.PENDING_APPROVAL, State.PENDING, *LIVE)


def _ask(outside: Outside, item: Pass) -> Pass:
    """Ask anew whoever decides on the launches of one page."""
    launches, cursor = _page(outside, ASKED[item.states], item.cursor)

    def command(this: Launch) -> Launch:
        if this.state not in ASKED:
            return this
        return reconcile.ask_anew(this, epoch=outside.epoch, at=outside.now())

    asked = sum(saving.change(outside.items, one, command) is not one for one in launches)
    return _next(outside, item, len(ASKED), cursor, "done", more=Counts(asked=asked))


def _page(outside: Outside, state: State, cursor: str | None) -> tuple[list[Launch], str | None]:
    page = outside.items.in_state(_Listed, state, cursor=cursor, limit=PAGE)
    found = saving.load_many(outside.items, Launch, [one.id for one in page.items])
    return list(found.values()), page.cursor


class _Listed(msgspec.Struct, frozen=True):
    """As much of what a list shows as names the launch."""

    id: str


def _next(
    outside: Outside,
    item: Pass,
    states: int,
    cursor: str | None,
    stage: reconcile.Stage,
    *,
    places: Sequence[Place] = (),
    more: Counts,
) -> Pass:
    """Return the pass at the next page, of the next state, or of the next stage."""
    at = outside.now()
    if cursor is not None:
        return reconcile.gone_on(item, at=at, states=item.states, cursor=cursor, places=places, more=more)
    if item.states + 1 < states:
        return reconcile.gone_on(item, at=at, states=item.states + 1, places=places, more=more)
    return reconcile.gone_on(item, at=at, stage=stage, places=places, more=more)


_PIECES: Mapping[reconcile.Stage, Callable[[Outside, Pass], Pass]] = {
    "collect": _collect,
    "survey": _survey,
    "ask": _ask,
}
