"""A table that is restored to any step: nothing is launched twice, no old token decides, what nobody knows is told.

A world's table is kept at a step of its life; the world goes on, and some steps later the table is put back, in the
next epoch: engines, mails, queues and the bus keep what they have. Then the world lives on, and comes to rest.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from gonogo.core import token
from gonogo.core.errors import TokenInvalidError
from gonogo.core.event import cloud_event
from gonogo.core.item import epoch_of
from gonogo.core.launch import Launch
from gonogo.core.plan import Plan
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from gonogo.core.watch import Stray
from tests.memory import Kept
from tests.service import lives
from tests.simulation.outside import fresh
from tests.simulation.world import BEGINNING, FINAL, World

RESTORES = int(os.environ.get("GONOGO_RESTORES", "16"))
FIRST = int(os.environ.get("GONOGO_FIRST_RESTORE", "1"))
STEPS = 300
PARTS = 4
POLICIES = (lives.policy, lives.policy_of_two)
RATE = 0.02


class RestoredWorld(World):
    """A world whose table is kept at one step and put back at another."""

    def __init__(self, seed: int, files: Mapping[str, str], rate: float = RATE) -> None:
        super().__init__(seed, files, rate)
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

    def step(self) -> None:
        """Do one thing; keep the table, or restore it, where it is time to."""
        self.steps += 1
        if self.steps == self.keeps_at:
            self.kept = self.outside.table.keep()
            self.images = dict(self.outside.table._stored)
        if self.steps == self.restores_at:
            self.restore()
        super().step()

    def restore(self) -> None:
        """Put the table back, and forget what it never heard of; what people said before is said no more."""
        assert self.kept is not None
        self.outside.restore(self.kept)
        self.outside.table._stored = dict(self.images)
        self.outside.table._pages.clear()
        self.restored = True
        self._checked.clear()
        self.ends.clear()
        launches = self.outside.table.all(Launch)
        known = {one.id for one in launches}
        self.asked = [one for one in self.asked if one["id"] in known]
        claimed = {one.id for one in launches if one.state is State.LAUNCHING}
        self.said = {key: said for key, said in self.said.items() if key[0] in claimed}

    def drain(self) -> None:
        """Let time pass minute by minute until the pass is done, then as ever."""
        self.chance.rate = 0.0
        self.skews = dict.fromkeys(self.skews, timedelta())
        for _ in range(30):
            self._pass(timedelta(minutes=1))
        self._must(self.outside.passed.lost() is not None, "the pass does not end")
        super().drain()

    def _submit(self) -> None:
        """Ask for something; after the restore often for the very same once more: an answer was lost."""
        if not self.restored or not self.requests or self.random.random() < 0.5:
            super()._submit()
            return
        who, body, headers = self.random.choice(self.requests)
        super()._call("POST", "/v1/launches", body, who, headers)

    def _call(
        self,
        method: str,
        path: str,
        body: Any,
        who: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Send a request; keep what is asked for, and look whether a code of an older epoch decides."""
        answer = super()._call(method, path, body, who, headers)
        if path == "/v1/launches":
            self.requests.append((who, body, headers))
        if path == "/v1/decisions" and self.restored and answer is not None:
            try:
                token.read(body["token"], now=BEGINNING, epoch=self.outside.epoch)
            except TokenInvalidError:
                self.dead_codes += 1
                self._must(answer["statusCode"] >= 400, "a token of an older epoch decided")
        return answer

    def _launched(self, plan: Plan, token_: str) -> None:
        """Look, when something is made, at the timeline in which it is: it must be known what the other one made."""
        self._must(self.outside.passed.lost() is not None, "something is made before the pass is done")
        super()._launched(plan, token_)

    def look(self) -> None:
        """Look at what must hold; of one launch only one set of machines was ever there."""
        super().look()
        sets: dict[str, set[str]] = {}
        for one in self.outside.cloud.machines.values():
            sets.setdefault(one.tags["gonogo:launch"], set()).add(one.token)
        for launch_id, made in sets.items():
            self._must(len(made) == 1, f"{launch_id} was launched {len(made)} times")

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
    world = RestoredWorld(seed, POLICIES[seed % len(POLICIES)]())
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
