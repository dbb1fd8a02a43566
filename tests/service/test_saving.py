"""Reading many items: more than one call takes."""

from __future__ import annotations

from gonogo.core.delegation import Delegation
from gonogo.service import saving
from tests import memory
from tests.core.builders import AT, DAY, LEAD, OPS


def test_more_are_read_than_one_call_takes() -> None:
    """BatchGetItem takes 100 keys: of 250 that are asked for, all that exist are found, and no others."""
    table = memory.Table()
    ids = [f"o-{n:03}" for n in range(250)]
    for one in ids[::2]:
        table.add(
            Delegation(id=one, at=AT, updated_at=AT, actor=LEAD, to=OPS, since=AT, until=AT + DAY, by=LEAD)
        )
    assert list(saving.load_many(table, Delegation, reversed(ids))) == ids[::2]
    assert saving.load_many(table, Delegation, ()) == {}
