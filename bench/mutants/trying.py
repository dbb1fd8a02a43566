"""A pytest plugin: the tests are collected once, and each mutant is a fork in which those that reach it run."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import msgspec
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

Outcome = Literal["killed", "survived", "timeout", "untested"]
KILLED, TIMEOUT = 1, 24
SLOW = 1.5
"""A test of so many CPU seconds runs after all others."""
MEMORY = 4 << 30


class Tried(msgspec.Struct, frozen=True):
    """What became of a mutant, and which test it was that failed."""

    outcome: Outcome
    test: str = ""


class Trying:
    """Runs no test by itself: it learns which test reaches which function, and then tries the mutants."""

    def __init__(
        self,
        mutants: Sequence[str],
        processes: int,
        tried: Callable[[str, Tried], None],
        kept: Path,
        most: float,
    ) -> None:
        self._mutants = mutants
        self._processes = processes
        self._tried = tried
        self._kept = kept
        self._most = most
        self._nth: list[int] = []
        self._scratch = Path(tempfile.mkdtemp(prefix="mutants-"))

    def pytest_runtestloop(self, session: Any) -> bool:
        """Take the place of pytest's own loop."""
        gc.collect()
        gc.freeze()
        gc.disable()
        reached = self._reached(session.items)
        self._nth = nth_of_their_kind([one.nodeid for one in session.items])
        wanted = []
        for name in self._mutants:
            if reached[_function(name)]:
                wanted.append(name)
            else:
                self._tried(name, Tried("untested"))
        killers: dict[str, list[int]] = defaultdict(list)

        def jobs() -> Iterator[tuple[str, Callable[[], int]]]:
            for name in wanted:
                yield (
                    name,
                    lambda name=name: self._try(  # type: ignore[misc]
                        session.items, name, reached[_function(name)], killers[_function(name)]
                    ),
                )

        for name, status in self._forked(jobs()):
            code = os.waitstatus_to_exitcode(status)
            if code == KILLED:
                test = int((self._scratch / name).read_text())
                first = killers[_function(name)]
                if test in first:
                    first.remove(test)
                first.insert(0, test)
                self._tried(name, Tried("killed", session.items[test].nodeid))
            elif code == 0:
                self._tried(name, Tried("survived"))
            else:
                self._tried(name, Tried("timeout" if abs(code) in (TIMEOUT, 9) else "killed"))
        return True

    def _reached(self, items: Sequence[Any]) -> dict[str, dict[int, float]]:
        """Return of each function the tests that reach it, by place, with their CPU seconds.

        Each test runs in a fork of its own, so that what one left in a cache hides nothing from the next.
        """
        reached: dict[str, dict[int, float]] = defaultdict(dict)
        known = json.loads(self._kept.read_text()) if self._kept.exists() else {}

        def learn(place: int) -> int:
            set_mutant_under_test("stats")
            began = time.process_time()
            if _first_failure(items, [place]) is not None:
                return KILLED
            took = time.process_time() - began
            (self._scratch / str(place)).write_text(json.dumps([took, sorted(state()._stats)]))  # noqa: SLF001 - mutmut's own runner reads it so
            return 0

        keys = [f"{one.nodeid} {_fingerprint(one.path)}" for one in items]
        jobs = (
            (str(place), lambda place=place: learn(place))
            for place, key in enumerate(keys)
            if key not in known
        )
        for name, status in self._forked(jobs):
            if status != 0:
                raise RuntimeError(f"{items[int(name)].nodeid} fails without any mutant")
            known[keys[int(name)]] = json.loads((self._scratch / name).read_text())
        for place, key in enumerate(keys):
            took, functions = known[key]
            for function in functions:
                reached[function][place] = took
        self._kept.write_text(json.dumps(known))
        return reached

    def _try(self, items: Sequence[Any], name: str, reached: dict[int, float], killers: list[int]) -> int:
        set_mutant_under_test(name)
        near = tests_near(name.split(".")[2])
        places = sorted(
            reached,
            key=lambda place: (
                place not in killers,
                reached[place] > SLOW,
                items[place].path.stem not in near,
                self._nth[place],
                reached[place],
            ),
        )
        spent = accumulate(reached[place] for place in places)
        places = [place for place, until in zip(places, spent, strict=True) if until <= self._most]
        failed = _first_failure(items, places, reached)
        if failed is None:
            return 0
        (self._scratch / name).write_text(str(failed))
        return KILLED

    def _forked(self, jobs: Iterable[tuple[str, Callable[[], int]]]) -> Iterator[tuple[str, int]]:
        """Yield the names of the jobs and how they ended: so many at once, each in a process of its own."""
        running: dict[int, str] = {}
        for name, job in jobs:
            while len(running) >= self._processes:
                pid, status = os.wait()
                yield running.pop(pid), status
            pid = os.fork()
            if pid == 0:
                _child(job)
            running[pid] = name
        while running:
            pid, status = os.wait()
            yield running.pop(pid), status


@cache
def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


NEAR = {
    "policy": ("test_judgements", "test_bundle"),
    "attempts": ("test_launch", "test_refusals", "test_amend"),
    "commands": ("test_launch", "test_refusals", "test_amend"),
    "course": ("test_launch", "test_clock", "test_amend"),
    "glass": ("test_break_glass",),
    "life": ("test_launch", "test_refusals"),
}
"""Where a change of a module is likely to be seen, besides the tests of its name."""


def tests_near(module: str) -> tuple[str, ...]:
    """Return the files of tests that are tried first."""
    subject = "bundle" if module.startswith("bundle") else module
    return (f"test_{subject}", "test_stories", *NEAR.get(module, ()))


def nth_of_their_kind(nodes: Sequence[str]) -> list[int]:
    """Return for each test how many rows of its table come before it: one row of each table is tried first."""
    seen: Counter[str] = Counter()
    found = []
    for node in nodes:
        kind = node.partition("[")[0]
        found.append(seen[kind])
        seen[kind] += 1
    return found


def _function(name: str) -> str:
    return name.partition("__mutmut_")[0]


def _child(job: Callable[[], int]) -> None:
    code = KILLED + 1
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for one in (0, 1, 2):
            os.dup2(quiet, one)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        code = job()
    finally:
        os._exit(code)


def _first_failure(
    items: Sequence[Any], places: Sequence[int], seconds: dict[int, float] | None = None
) -> int | None:
    """Run the tests at these places until one fails, and return which.

    Exits if one takes ten times as long as it should.
    """
    signal.signal(signal.SIGVTALRM, lambda *_: os._exit(TIMEOUT))
    for place, following in zip(places, [*places[1:], None], strict=True):
        if seconds is not None:
            signal.setitimer(signal.ITIMER_VIRTUAL, 2 + 10 * seconds[place])
        after = None if following is None else items[following]
        if any(report.failed for report in runtestprotocol(items[place], nextitem=after, log=False)):
            return place
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None
