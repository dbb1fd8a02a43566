"""`make mutants`: try the mutants, name those that live and are not explained, and count."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from rich.table import Table

from bench.mutants.making import HOUSE, Mutant, make
from bench.mutants.trying import Tried, Trying

BUILD = HOUSE / "build" / "mutants"
RECORD = HOUSE / "docs" / "mutants.md"
MADE_HERE = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)
EXPLAINED = re.compile(r"^- `([\w.]+)`: `` (.+?) `` → `` (.*?) ``: ", re.MULTILINE)
WORST_FIRST = (
    "token",
    "gates",
    "actor",
    "delegation",
    "glass",
    "policy",
    "states",
    "attempts",
    "commands",
    "course",
    "canonical",
    "chain",
    "plan",
    "usage",
    "budget",
    "delivery",
    "event",
    "watch",
    "life",
    "clock",
    "bundle",
)
"""The modules in which a wrong answer is the worst are tried first."""
TESTS = (
    "tests/core",
    "tests/service",
    *(
        f"--ignore=tests/{path}.py"
        for path in (
            "core/test_machine",
            "core/test_small_world",
            "service/test_billing_faults",
            "service/test_faults",
            "service/test_ledger",
            "service/test_pure",
        )
    ),
)
"""The tests that may kill: not those that try at length what the others say shortly."""
NOTICED = ("killed", "timeout")
OUTCOMES = ("killed", "timeout", "survived", "untested")


def main() -> int:
    """Try the mutants of the functions that match a pattern, or all; 1 if one lives unexplained."""
    options = _options()
    build = BUILD / options.room
    mutants = make(Path("gonogo") / options.room, build / "house", build / "made")
    results = build / "results.json"
    known = msgspec.json.decode(results.read_bytes(), type=dict[str, Tried]) if results.exists() else {}
    places: Counter[str] = Counter(one.module for one in mutants)
    sampled = set()
    for one in mutants:
        places[one.module] -= 1
        if places[one.module] % options.every == 0:
            sampled.add(one.name)
    first = {module: place for place, module in enumerate(WORST_FIRST)}
    chosen = [
        one
        for one in mutants
        if one.name in sampled
        and any(fnmatch(f"{one.module}.{one.function}", pattern) for pattern in options.patterns)
        and not (options.again and (one.name not in known or known[one.name].outcome in NOTICED))
    ]
    chosen.sort(key=lambda one: first.get(one.module, len(first)))
    found = _tried(chosen, options, build, known)
    known = {
        one.name: found.get(one.name) or known[one.name] for one in mutants if one.name in {**known, **found}
    }
    results.write_bytes(msgspec.json.encode(known))
    alive = [one for one in chosen if one.name in found and found[one.name].outcome not in NOTICED]
    explained = explanations(RECORD.read_text() if options.room == "core" else "")
    strangers = [one for one in alive if not is_explained(one, explained)]
    for one in strangers:
        print(f"{one.name} {found[one.name].outcome}\n  - {one.before}\n  + {one.after}")
    rows = figures(mutants, known, explained)
    _show(rows)
    if options.record:
        RECORD.write_text(MADE_HERE.sub(lambda _: written(rows), RECORD.read_text()))
    return 1 if strangers else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="of functions: `gates.*`, `token.read`")
    parser.add_argument(
        "--room", choices=["core", "service"], default="core", help="only the core has a record"
    )
    parser.add_argument("--again", action="store_true", help="only those that the last run did not kill")
    parser.add_argument("--record", action="store_true", help="write the figures of all that is known")
    parser.add_argument(
        "--tests", nargs="*", default=TESTS, help="the tests that may kill, as pytest takes them"
    )
    parser.add_argument("--every", type=int, default=1, help="only each so-manieth mutant of a module")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4, help="of CPU, of tests for each mutant")
    options = parser.parse_args()
    if options.record and options.room != "core":
        parser.error("--record is of the core only")
    options.patterns = options.patterns or ["*"]
    return options


def _tried(
    chosen: Sequence[Mutant], options: argparse.Namespace, build: Path, known: dict[str, Tried]
) -> dict[str, Tried]:
    """Try these mutants, in a process whose tests and gonogo are the copy's."""
    found: dict[str, Tried] = {}

    def tried(name: str, what: Tried) -> None:
        found[name] = what
        if what.outcome not in NOTICED:
            print(f"{what.outcome}: {name}", flush=True)
        if len(found) % 100 == 0 or len(found) == len(chosen):
            counted = Counter(one.outcome for one in found.values())
            results.write_bytes(msgspec.json.encode({**known, **found}))
            print(f"{len(found)} of {len(chosen)} tried: {dict(counted)}", flush=True)

    house, results = build / "house", build / "results.json"
    os.chdir(house)
    sys.path.insert(0, str(house))
    plugin = Trying(
        Path("gonogo") / options.room,
        chosen,
        options.processes,
        tried,
        build / "reached.json",
        options.seconds,
    )
    quiet = [word for name in ("cacheprovider", "terminal", "xdist") for word in ("-p", f"no:{name}")]
    pytest.main([*options.tests, *quiet, "--capture=no"], plugins=[plugin])
    return found


def explanations(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return what the record explains: of each `module.function`, what is written instead of what."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for function, before, after in EXPLAINED.findall(text):
        found[function].append((before, after))
    return found


def is_explained(mutant: Mutant, explained: dict[str, list[tuple[str, str]]]) -> bool:
    """Tell whether an explanation, put into the lines as they were, gives those of the mutant."""
    return any(
        mutant.before[: at.start()] + after + mutant.before[at.end() :] == mutant.after
        for before, after in explained[f"{mutant.module}.{mutant.function}"]
        for at in re.finditer(re.escape(before), mutant.before)
    )


def figures(
    mutants: Sequence[Mutant], known: dict[str, Tried], explained: dict[str, list[tuple[str, str]]]
) -> list[tuple[str, ...]]:
    """Return a row for each module, and one for all: counts by outcome, and the share of the tried that is noticed."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in mutants:
        for row in (one.module, "all"):
            counts[row]["mutants"] += 1
            if one.name in known:
                outcome = known[one.name].outcome
                counts[row]["tried"] += 1
                counts[row][outcome] += 1
                counts[row]["explained"] += outcome == "survived" and is_explained(one, explained)
    return [
        (
            module,
            *(str(count[one]) for one in HEAD[1:-1]),
            f"{100 * sum(count[one] for one in NOTICED) / count['tried']:.1f} %" if count["tried"] else "",
        )
        for module, count in sorted(counts.items(), key=lambda row: (row[0] == "all", row[0]))
    ]


HEAD = ("module", "mutants", "tried", *OUTCOMES, "explained", "score")


def written(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the table for the record."""
    lines = [HEAD, ("---", *("---:" for _ in HEAD[1:])), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _show(rows: Sequence[tuple[str, ...]]) -> None:
    table = Table()
    for place, name in enumerate(HEAD):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
