"""Whatever the order, whatever fails: what must hold, holds. A run that fails names its seed, which runs it again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.simulation import over_aws, rules
from tests.simulation.rules import Rules
from tests.simulation.world import World

SEEDS = int(os.environ.get("GONOGO_SEEDS", "8"))
FIRST = int(os.environ.get("GONOGO_FIRST_SEED", "1"))
STEPS = int(os.environ.get("GONOGO_WORLD_STEPS", "200"))
PARTS = 4
AWS_SEEDS = int(os.environ.get("GONOGO_AWS_SEEDS", "1"))
AWS_STEPS = int(os.environ.get("GONOGO_AWS_WORLD_STEPS", "60"))
AWS_PARTS = min(2, AWS_SEEDS)
POLICIES: tuple[Callable[[], tuple[Rules, ...]], ...] = (
    rules.every_kind,
    lambda: rules.of_example(1),
    rules.every_kind,
    rules.every_kind,
    rules.every_kind,
    lambda: rules.of_example(2),
    rules.every_kind,
    rules.every_kind,
)


def run(seed: int, steps: int = STEPS, rate: float = 0.03) -> World:
    """Return the world of a seed after its life."""
    return lived(World(seed, POLICIES[seed % len(POLICIES)]()[0].files, rate), steps)


def run_over_aws(seed: int, steps: int = STEPS, rate: float = 0.03) -> World:
    """Return the world of a seed after its life over the real adapters."""
    with over_aws.pretended():
        files = rules.of_example(seed % 2 + 1)[0].files
        return lived(World(seed, files, rate, over_aws.Outside), steps)


def lived(world: World, steps: int) -> World:
    """Let a world live so many steps, and come to rest."""
    rate = world.chance.rate
    try:
        for _ in range(steps):
            world.step()
        world.drain()
    except BaseException as error:
        error.add_note(f"run it again: GONOGO_FIRST_SEED={world.seed} GONOGO_SEEDS=1, rate {rate}")
        raise
    return world


@pytest.mark.parametrize("part", range(PARTS))
def test_what_must_hold_holds(part: int, record_property: Callable[[str, object], None]) -> None:
    """Crashes, lost answers, duplicates, disorder, wrong clocks, poison: no launch without its gates, none twice."""
    struck: Counter[str] = Counter()
    for seed in range(FIRST + part, FIRST + SEEDS, PARTS):
        world = run(seed)
        struck += world.chance.struck
    record_property("simulated lives", len(range(FIRST + part, FIRST + SEEDS, PARTS)))
    record_property("simulated faults", sum(struck.values()))


@pytest.mark.parametrize("part", range(AWS_PARTS))
def test_it_holds_over_the_real_adapters(part: int, record_property: Callable[[str, object], None]) -> None:
    """The world in memory may be kinder than AWS: the same must hold over DynamoDB, EventBridge, EC2, SES and KMS."""
    struck: Counter[str] = Counter()
    for seed in range(FIRST + part, FIRST + AWS_SEEDS, AWS_PARTS):
        struck += run_over_aws(seed, AWS_STEPS).chance.struck
    record_property("simulated lives over AWS", len(range(FIRST + part, FIRST + AWS_SEEDS, AWS_PARTS)))
    record_property("simulated faults", sum(struck.values()))
