"""A table that is restored to any step: nothing is launched twice, no old token decides, what nobody knows is told.

A world's table is kept at a step of its life; the world goes on, and some steps later the table is put back, in the
next epoch: engines, mails, queues and the bus keep what they have. Then the world lives on, and comes to rest.
"""

from __future__ import annotations

import copy
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from gonogo.core import reconcile
from gonogo.core.event import cloud_event
from gonogo.core.item import epoch_of
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan
from gonogo.core.reconcile import CURRENT, Pass
from gonogo.core.usage import UsageDay
from gonogo.core.watch import Stray
from tests.memory import Cloud, Kept, Machine
from tests.simulation import rules
from tests.simulation.outside import fresh
from tests.simulation.people import People
from tests.simulation.witness import Witness, decoded
from tests.simulation.world import FINAL, Answer, World

RESTORES = int(os.environ.get("GONOGO_RESTORES", "12"))
FIRST = int(os.environ.get("GONOGO_FIRST_RESTORE", "1"))
STEPS = 300
PARTS = 4
POLICIES = (rules.of_example(1), rules.of_example(2), rules.every_kind())
RATE = 0.02
TOKEN = 52
"""How long a client token is; what comes behind it numbers the subnets of one set."""


class RestoredPeople(People):
    """Everybody, who after the restore often ask for the very same once more: an answer was lost."""

    def submit(self) -> None:
        """Ask for something, or once more for what was asked before."""
        world = cast("RestoredWorld", self.world)
        if not world.restored or not world.requests or self.random.random() < 0.5:
            super().submit()
            return
        who, body, headers = self.random.choice(world.requests)
        answer = world.call("POST", "/v1/launches", body, who, headers)
        if answer is not None and answer.code < 300:
            self._known(answer.json["id"], str(who))


class RestoredWorld(World):
    """A world whose table is kept at one step and put back at another."""

    def __init__(self, seed: int, files: Mapping[str, str], rate: float = RATE) -> None:
        super().__init__(seed, files, rate)
        self.people = RestoredPeople(self)
        self.outside.cloud.begun = self._begun
        choice = random.Random(f"restore {seed}")  # noqa: S311 - a seed, so that it runs again
        self.keeps_at = choice.randrange(10, STEPS // 2)
        self.restores_at = self.keeps_at + choice.choice((1, 5, 20, 60, 100))
        self.steps = 0
        self.kept: Kept | None = None
        self.restored = False
        self.adopted = 0
        self.dead_codes = 0
        self.requests: list[tuple[str | None, Any, Mapping[str, str] | None]] = []
        self.images: dict[str, dict[str, Any]] = {}
        self.seen: Witness = self.witness
        self.wrong: list[str] = []
        self.made: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        self.strange: list[tuple[str, str]] = []

    @property
    def is_known(self) -> bool:
        """Whether it is on record what was made in the time that was lost."""
        found = self.outside.table.get(Pass, CURRENT)
        return self.outside.epoch == 1 or (
            found is not None and found.epoch == self.outside.epoch and found.is_done
        )

    def step(self) -> None:
        """Do one thing; keep the table, or restore it, where it is time to."""
        self.steps += 1
        if self.steps == self.keeps_at:
            self.kept = self.outside.table.keep()
            self.images = dict(self.outside.table._stored)
            self.seen = copy.deepcopy(self.witness)
        if self.steps == self.restores_at:
            self.restore()
        super().step()

    def restore(self) -> None:
        """Put the table back, and forget what it never heard of.

        The witness goes on from what it had seen by then. What it holds against gates told as closed in the time
        that was lost, and of which nothing is on record, does not count: what must hold from here on stands below.
        """
        assert self.kept is not None
        self.codes()
        self._must(not self.witness.found, "; ".join(self.witness.found[:3]))
        self.outside.restore(self.kept)
        self.outside.table._stored = dict(self.images)
        self.outside.table._pages.clear()
        self.restored = True
        self.strange = [(id_, token) for id_, made in self.made.items() for token in made]
        self.strange = [one for one in self.strange if not self._is_on_record(*one)]
        self._checked.clear()
        self._overdue.clear()
        self.ends.clear()
        self.seen.committed |= self.witness.committed
        self.witness = self.seen
        self.people.asked = [one for one in self.people.asked if one.id in self.witness.lives]

    def _is_on_record(self, launch_id: str, token: str) -> bool:
        launch = self.outside.table.get(Launch, launch_id)
        return launch is not None and reconcile.made_as(launch, token) is not None

    def _forget(self) -> None:
        """Forget what nobody can know when the pass is done: EC2 does not show it, and no plan on record is its own.

        See docs/restore.md, "What cannot be known". What is shown then must never be made again.
        """
        for launch_id, token in self.strange:
            ended = [
                one.changed_at
                for one in self.outside.cloud.machines.values()
                if one.token.startswith(token) and one.state == "terminated"
            ]
            if len(ended) == self.made[launch_id][token][0] and all(
                at is not None and self.time - at >= Cloud.SHOWN for at in ended
            ):
                del self.made[launch_id][token]
        self.strange = []

    def drain(self) -> None:
        """Let time pass minute by minute until the pass is done, then as ever."""
        self.chance.rate = 0.0
        self.skews = dict.fromkeys(self.skews, timedelta())
        for _ in range(30):
            self._pass(timedelta(minutes=1))
        self._must(self.is_known, "the pass does not end")
        super().drain()

    def call(
        self,
        method: str,
        path: str,
        body: Any,
        who: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """Send a request; keep what is asked for, and look whether a code of an older epoch decides."""
        answer = super().call(method, path, body, who, headers)
        if (method, path) == ("POST", "/v1/launches"):
            self.requests.append((who, body, headers))
        if path == "/v1/decisions" and answer is not None and self._is_dead(body["token"]):
            self.dead_codes += 1
            self._must(answer.code >= 400, "a token of an older epoch decided")
        return answer

    def _is_dead(self, code: str) -> bool:
        return code in self._codes and decoded(code).epoch < self.outside.epoch

    def _published(self, event: dict[str, Any]) -> None:
        """Look whether an event of this timeline has an id of the other's."""
        if self.heard.get(event["id"], event) != event:
            self.wrong.append(f"{event['id']} means two things")
        super()._published(event)

    def _begun(self, plan: Plan, tags: Mapping[str, str], machines: Sequence[Machine]) -> None:
        """Look, when something is made, at the timeline in which it is: it must be known what the other one made."""
        if not self.is_known:
            self.wrong.append("something is made before the pass is done")
        made, least = self.made[tags["gonogo:launch"]], 1 if plan.partial else plan.spec["count"]
        for one in machines:
            token = one.token[:TOKEN]
            made[token] = made.get(token, (0, least))[0] + 1, least
        self.witness.begun(plan, tags, machines)

    def look(self) -> None:
        """Look at what must hold; of one launch only one whole set of machines was ever there.

        What was made in part only, and is terminated before the next choice is tried, is no set.
        """
        if self.restored:
            self.witness.found.clear()
        if not self.is_known:
            self._overdue.clear()  # what is due waits for the pass
        super().look()
        self._must(not self.wrong, "; ".join(self.wrong))
        if self.is_known:
            self._forget()
        for launch_id, made in self.made.items():
            whole = [one for one, (count, least) in made.items() if count >= least]
            self._must(len(whole) <= 1, f"{launch_id} was launched {len(whole)} times")

    def look_at_the_end(self) -> None:
        """Look at what must be so at the end, and that whatever runs is on record, or was told of."""
        for launch in self.outside.table.all(Launch):
            self._must(launch.state in FINAL, f"{launch.id} is stuck in {launch.state}")
            for one in self._history(launch):
                event = fresh(cloud_event(launch.id, one))
                self._must(
                    self.heard.get(event["id"]) == event, f"{event['id']} was published otherwise, or never"
                )
            self.adopted += any(one.type == "launch.reconciled" for one in launch.history)
        for queue in self.queues:
            self._must(not queue.dead, f"{queue.function} has dead letters: {queue.dead[:1]}")
        strays = {one.id for one in self.outside.table.all(Stray)}
        for machine in self.outside.cloud.machines.values():
            known = machine.state == "terminated" or machine.id in strays
            self._must(known, f"{machine.id} runs, and nobody was told")
        self._look_at_the_totals()

    def _look_at_the_totals(self) -> None:
        """Look whether the newest event of each day says what the day comes to."""
        newest: dict[str, dict[str, Any]] = {}
        for event in self.heard.values():
            if event["type"] == "usage.recorded":
                last = newest.setdefault(event["subject"], event)
                newest[event["subject"]] = max(last, event, key=lambda one: int(one["seq"]))
        for day in self.outside.table.all(UsageDay):
            if day.records and epoch_of(day.seq) == self.outside.epoch and day.history:
                said = newest[day.id]["data"]
                self._must(said["day_seconds"] == day.seconds, f"{day.id} is told as {said['day_seconds']} s")


def run(seed: int) -> RestoredWorld:
    """Return the world of a seed after its life."""
    world = RestoredWorld(seed, POLICIES[seed % len(POLICIES)][0].files)
    try:
        for _ in range(STEPS):
            world.step()
        world.drain()
    except BaseException as error:
        error.add_note(
            f"run it again: GONOGO_FIRST_RESTORE={seed} GONOGO_RESTORES=1; "
            f"kept at {world.keeps_at}, restored at {world.restores_at}"
        )
        raise
    return world


@pytest.mark.parametrize("part", range(PARTS))
def test_a_restore_to_any_step(part: int, record_property: Callable[[str, object], None]) -> None:
    """Whenever the table was kept and put back: one launch once, by those who say so in this timeline."""
    seen: Counter[str] = Counter()
    for seed in range(FIRST + part, FIRST + RESTORES, PARTS):
        world = run(seed)
        lost = world.outside.passed.lost() or frozenset()
        seen += Counter(
            {
                "restores of the table": 1,
                "launches adopted after a restore": world.adopted,
                "launches lost by a restore": len(lost),
                "codes of an older epoch": world.dead_codes,
            }
        )
    for name, count in seen.items():
        record_property(name, count)
