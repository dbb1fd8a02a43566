"""A pytest plugin: the tests are collected once, and each mutant is a fork in which those that reach it run."""

from __future__ import annotations

import gc
import hashlib
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import coverage
import msgspec
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from bench.mutants.making import Mutant

Outcome = Literal["killed", "survived", "timeout", "untested"]
KILLED, TIMEOUT = 1, 24
SLOW = 1.5
"""A test of so many CPU seconds runs after all others."""
MEMORY = 4 << 30


class Tried(msgspec.Struct, frozen=True):
    """What became of a mutant, and which test it was that failed."""

    outcome: Outcome
    test: str = ""


class Reached(msgspec.Struct, frozen=True):
    """What a test reaches, in so many CPU seconds: functions, and of each module its lines."""

    seconds: float
    functions: tuple[str, ...]
    lines: dict[str, tuple[int, ...]]

    def reaches(self, mutant: Mutant) -> bool:
        """Tell whether it reaches the statement that the mutant changes."""
        first, last = mutant.lines
        return any(first <= line <= last for line in self.lines.get(mutant.module, ()))


class Trying:
    """Runs no test by itself: it learns which test reaches which line, and then tries the mutants."""

    def __init__(
        self,
        room: Path,
        mutants: Sequence[Mutant],
        processes: int,
        tried: Callable[[str, Tried], None],
        kept: Path,
        most: float,
    ) -> None:
        self._room = room
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
        reached, functions = self._reached(session.items)
        self._nth = nth_of_their_kind([one.nodeid for one in session.items])
        wanted = []
        for mutant in self._mutants:
            if functions[_function(mutant.name)]:
                wanted.append(mutant)
            else:
                self._tried(mutant.name, Tried("untested"))
        killers: dict[str, list[int]] = defaultdict(list)

        def jobs() -> Iterator[tuple[str, Callable[[], int]]]:
            for one in wanted:
                function = _function(one.name)
                tests = {place: reached[place] for place in functions[function]}
                yield (
                    one.name,
                    lambda one=one, tests=tests, first=killers[function]: self._try(  # type: ignore[misc]
                        session.items, one, tests, first
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
        shutil.rmtree(self._scratch)
        return True

    def _reached(self, items: Sequence[Any]) -> tuple[list[Reached], dict[str, list[int]]]:
        """Return what each test reaches, and the other way round of each function the tests that reach it, by place.

        Each test runs in a fork of its own, so that what one left in a cache hides nothing from the next.
        """
        files = sorted(self._room.absolute().glob("*.py"))
        code = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
        known = {}
        if self._kept.exists():
            before = msgspec.json.decode(self._kept.read_bytes(), type=dict[str, Reached])
            known = {key: one for key, one in before.items() if key.endswith(code)}

        traced = coverage.Coverage(data_file=None, omit=["tests/*"], config_file=False, messages=False)
        traced.start()  # what it imports is imported once, and not in each fork
        traced.stop()

        def learn(place: int) -> int:
            set_mutant_under_test("stats")
            began = time.process_time()
            traced.start()
            if _first_failure(items, [place]) is not None:
                return KILLED
            traced.stop()
            took = time.process_time() - began
            data = traced.get_data()
            lines = {path.stem: tuple(data.lines(str(path)) or ()) for path in files}
            found = Reached(took, tuple(sorted(state()._stats)), lines)  # noqa: SLF001 - mutmut's own runner reads it so
            (self._scratch / str(place)).write_bytes(msgspec.json.encode(found))
            return 0

        keys = [f"{one.nodeid} {_fingerprint(one.path)} {code}" for one in items]
        jobs = (
            (str(place), lambda place=place: learn(place))
            for place, key in enumerate(keys)
            if key not in known
        )
        for name, status in self._forked(jobs):
            if status != 0:
                raise RuntimeError(f"{items[int(name)].nodeid} fails without any mutant")
            learnt = (self._scratch / name).read_bytes()
            known[keys[int(name)]] = msgspec.json.decode(learnt, type=Reached)
        self._kept.write_bytes(msgspec.json.encode(known))
        reached = [known[key] for key in keys]
        functions: dict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(reached):
            for function in one.functions:
                functions[function].append(place)
        return reached, functions

    def _try(
        self, items: Sequence[Any], mutant: Mutant, reached: dict[int, Reached], killers: list[int]
    ) -> int:
        set_mutant_under_test(mutant.name)
        near = tests_near(mutant.module)
        places = sorted(
            reached,
            key=lambda place: (
                not reached[place].reaches(mutant),
                place not in killers,
                reached[place].seconds > SLOW,
                items[place].path.stem not in near,
                self._nth[place],
                reached[place].seconds,
            ),
        )
        failed = _first_failure(items, places, [reached[place].seconds for place in places], self._most)
        if failed is None:
            return 0
        (self._scratch / mutant.name).write_text(str(failed))
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
    "bundle_rules": ("test_bundle_refusals",),
    "bundle_schema": ("test_bundle_refusals",),
    "bundle_lines": ("test_bundle_lines",),
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
    items: Sequence[Any],
    places: Sequence[int],
    seconds: Sequence[float] | None = None,
    most: float = float("inf"),
) -> int | None:
    """Run the tests at these places until one fails, and return which; None once they took the CPU seconds.

    Exits if one takes ten times as long as it should.
    """
    signal.signal(signal.SIGVTALRM, lambda *_: os._exit(TIMEOUT))
    until = time.process_time() + most
    for nth, (place, following) in enumerate(zip(places, [*places[1:], None], strict=True)):
        if seconds is not None:
            signal.setitimer(signal.ITIMER_VIRTUAL, 2 + 10 * seconds[nth])
        after = None if following is None else items[following]
        if any(report.failed for report in runtestprotocol(items[place], nextitem=after, log=False)):
            return place
        if time.process_time() > until:
            break
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None
