"""What subscribers hear and what an item keeps, in whole lives: as agreed on in tests/golden/stories/.

After a change that is meant, write them anew with `GOLDEN=write make test ARGS=tests/core/test_stories.py`, and read
the difference before a commit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gonogo.core.item import Item
from tests.core.stories import STORIES, Step

GOLDEN = Path(__file__).parents[1] / "golden" / "stories"
CHAINED = ("history", "head", "seq")
"""What follows from the events, which are written one by one."""


def plain(value: Any) -> Any:
    """Return a value without what is as good as not there."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if one not in (None, "", [], {}, False)}
    return [plain(one) for one in value] if isinstance(value, list) else value


def fields(item: Item | None) -> dict[str, Any]:
    """Return what an item keeps, and where it stands in lists."""
    if item is None:
        return {}
    kept = json.loads(msgspec.json.encode(item))
    listed = json.loads(msgspec.json.encode(item.listed()))
    return {**{name: one for name, one in kept.items() if name not in CHAINED}, "listed": listed}


def told(steps: Iterator[Step]) -> Iterator[str]:
    """Yield a story in words: of each step what was done, told, and is different on the item by it."""
    before: Item | None = None
    for words, item in steps:
        yield f"{words}:"
        known = before if before is not None and before.id == item.id else None
        facts = None
        for one in item.history:
            data = dict(one.data)
            said = data.pop("launch", None)
            if known is None or one.seq > known.seq:
                shown = {"launch": said, **data} if said != facts else data
                yield f"  {one.seq} {one.type} at {one.at:%d %H:%M:%S} {json.dumps(shown, default=str)}"
            facts = said
        was = fields(known)
        for name, value in fields(item).items():
            if plain({name: value}) != plain({name: was.get(name)}):
                yield f"  {name} = {json.dumps(plain(value))}"
        before = item


@pytest.mark.parametrize("story", STORIES)
def test_story_goes_as_agreed(story: str):
    """Who bills or decides by an event relies on each field of it: none changes unless somebody means it to."""
    text = "\n".join(told(STORIES[story]())) + "\n"
    path = GOLDEN / f"{story}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_story_is_left_over():
    """A golden file without a story would be believed, and holds nothing."""
    assert {path.stem for path in GOLDEN.iterdir()} == set(STORIES)
