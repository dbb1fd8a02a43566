"""One suite for `ports.Items`: in memory, on moto, and on the second engine. What holds for one holds for all."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from unittest import mock

import msgspec
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from pynamodb.exceptions import PynamoDBException

from gonogo.aws.histories import Histories
from gonogo.aws.table import Table
from gonogo.core import chain, life, published
from gonogo.core import delivery as deliveries
from gonogo.core import event as events
from gonogo.core.actor import Actor
from gonogo.core.chain import Head
from gonogo.core.delivery import Delivery, Waiting
from gonogo.core.errors import InvalidError, ItemExistsError, LaterError, VersionConflictError
from gonogo.core.event import cloud_event
from gonogo.core.instance import Instance
from gonogo.core.item import EPOCH, Item, Listed
from gonogo.core.launch import Launch, LaunchSummary
from gonogo.core.published import CurrentPolicy, StoredBundle
from gonogo.core.states import State
from gonogo.ports import Items
from gonogo.service import read, saving
from gonogo.service.submit import launch_id
from local.aws import REGION
from tests import memory
from tests.contract import second_engine, tables
from tests.core import builders
from tests.core.builders import AT, DAY, DEV, HOUR, LEAD, LEAD2, LIVES, MINUTE, OPS, SECOND

WRITERS = 16
ROUNDS = 5


@pytest.fixture(scope="module", params=["memory", *second_engine.ON_AWS])
def store(request: pytest.FixtureRequest) -> Iterator[Items]:
    """Give each kind of table in turn."""
    if request.param == "memory":
        yield memory.Table()
        return
    with (
        tables.on_moto()
        if request.param == "moto"
        else tables.on_second_engine(request.getfixturevalue("engine")) as table
    ):
        yield table


@pytest.fixture
def items(store: Items) -> Items:
    """Give a table with nothing in it."""
    if isinstance(store, memory.Table):
        return memory.Table()
    tables.empty()
    return store


@pytest.fixture
def table(items: Items) -> Table:
    """Give a table that is reached over a line; for tests that are marked `over_a_line`."""
    assert isinstance(items, Table)
    return items


over_a_line = pytest.mark.parametrize("store", second_engine.ON_AWS, indirect=True)


class Thing(Item, frozen=True, kw_only=True):
    """An item that stands where it is told to."""

    kind = "launch"

    feed: str | None = None
    state: str | None = None
    text: str = ""
    plain: str | None = None
    price: Decimal | None = None
    raw: bytes | None = None

    def listed(self) -> Listed:
        """Stand in a feed and a state."""
        summary = Shown(self.id, self.text) if self.feed is not None or self.state is not None else None
        return Listed(feed=self.feed, state=self.state, summary=summary)


class Shown(msgspec.Struct, frozen=True):
    """What lists show of a thing."""

    id: str
    text: str


def thing(id: str = "t-1", at: datetime = AT, **fields: Any) -> Thing:  # noqa: A002 - the field's name
    """Return a thing of version 1."""
    return Thing(id=id, at=at, updated_at=at, **fields)


def next_of(item: Thing, **fields: Any) -> Thing:
    """Return the thing as its next version, with these fields."""
    return item.changed(**fields).next_version()


def shown(page: Any) -> list[str]:
    """Return the ids on a page."""
    return [one.id for one in page.items]


def other_items() -> dict[str, Item]:
    """Return an item of each kind but launch."""
    return {
        "delivery": deliveries.new(
            launch="l-1",
            topic="decide",
            actor=LEAD,
            channels=("mail", "webhook"),
            at=AT,
            gate="lead",
            round=1,
        ),
        "instance": Instance(
            id="i-0123",
            at=AT,
            updated_at=AT,
            launch="l-1",
            region="us-east-1",
            instance_type="t3.micro",
            hourly=Decimal("0.0104"),
            changed_at=AT,
        ),
        "bundle": published.stored(builders.policy_files(), AT),
        "policy": published.in_force(None, "b" * 64, AT),
    }


# One item


@pytest.mark.parametrize("state", State)
def test_a_launch_is_read_as_it_was_written(items: Items, state: State) -> None:
    """What an approver is shown and what the launcher checks is what was submitted, to the last digit."""
    launch = LIVES[state]()
    items.add(launch)
    assert items.get(Launch, launch.id) == launch


@pytest.mark.parametrize("kind", ["delivery", "instance", "bundle", "policy"])
def test_every_other_kind_is_read_as_it_was_written(items: Items, kind: str) -> None:
    """One table keeps them all."""
    item = other_items()[kind]
    items.add(item)
    assert items.get(type(item), item.id) == item


def test_a_bundle_comes_back_byte_by_byte(items: Items) -> None:
    """Its digest is its name, so a byte that changed would make it worthless."""
    stored = published.stored(builders.policy_files(), AT)
    items.add(stored)
    found = items.get(StoredBundle, stored.id)
    assert found is not None
    assert found.files == builders.policy_files()


def test_what_is_not_there_is_none(items: Items) -> None:
    """A forged id must find nothing, rather than fail."""
    assert items.get(Launch, "l-none") is None


def test_kinds_do_not_meet(items: Items) -> None:
    """An id of one kind is no id of another."""
    items.add(thing("same"))
    assert items.get(Delivery, "same") is None
    assert items.get(CurrentPolicy, "same") is None


def test_adding_twice_is_refused_and_the_first_stays(items: Items) -> None:
    """Submitting, notices and instances are made once by this alone."""
    items.add(thing(text="first"))
    with pytest.raises(ItemExistsError):
        items.add(thing(text="second"))
    assert items.get(Thing, "t-1") == thing(text="first")


def test_a_save_is_read_at_once(items: Items) -> None:
    """Who acts re-reads, and must see what was decided."""
    items.add(thing())
    after = next_of(thing(), text="after", price=Decimal("0.10"))
    items.save(thing(), after)
    assert items.get(Thing, "t-1") == after


def test_a_save_on_what_has_changed_is_refused_and_writes_nothing(items: Items) -> None:
    """Two decisions at once must both be seen, so the second has to look again."""
    items.add(thing())
    first = next_of(thing(), text="first")
    items.save(thing(), first)
    with pytest.raises(VersionConflictError):
        items.save(thing(), next_of(thing(), text="second", plain="second"))
    assert items.get(Thing, "t-1") == first


def test_a_save_of_what_is_not_there_is_refused_and_makes_nothing(items: Items) -> None:
    """UpdateItem makes items of nothing where no condition forbids it."""
    with pytest.raises(VersionConflictError):
        items.save(thing(), next_of(thing()))
    assert items.get(Thing, "t-1") is None


def test_a_field_that_is_none_is_gone(items: Items) -> None:
    """An alarm or a wish that is over must not linger."""
    before = thing(plain="here", due_at=AT)
    items.add(before)
    items.save(before, next_of(before, plain=None, due_at=None))
    found = items.get(Thing, "t-1")
    assert found is not None
    assert (found.plain, found.due_at) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ünïcödé 漢字",
        "👩‍🚀 go",
        "\u202eright to left",
        "e\u0301 is not é",
        'quotes " and \\ and \u2028',
        "a\x00b",
        " \t\r\n ",
    ],
)
def test_text_is_kept_as_it_is(items: Items, text: str) -> None:
    """A digest covers the text, so not even its normal form may change."""
    item = thing(text=text, plain=text, feed=f"requester#{text}")
    items.add(item)
    assert items.get(Thing, "t-1") == item
    assert items.feed(Shown, f"requester#{text}", cursor=None, limit=1).items == (Shown("t-1", text),)


@pytest.mark.parametrize("price", ["0.0104", "0.10", "21.957642", "1E+3", "0", "922337203685477.5807"])
def test_money_is_kept_digit_by_digit(items: Items, price: str) -> None:
    """0.10 is not 0.1 to a digest, and a float would be wrong by a cent one day."""
    items.add(thing(price=Decimal(price)))
    found = items.get(Thing, "t-1")
    assert found is not None
    assert str(found.price) == price


@pytest.mark.parametrize(
    "at",
    [
        AT + timedelta(microseconds=1),
        AT.astimezone(timezone(timedelta(hours=-3))),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
def test_times_are_kept_to_the_microsecond(items: Items, at: datetime) -> None:
    """Lists and alarms sort by the text of a time."""
    items.add(thing(at=at, due_at=at))
    found = items.get(Thing, "t-1")
    assert found is not None
    assert (found.at, found.due_at) == (at, at)


def test_bytes_are_kept(items: Items) -> None:
    """A compressed bundle has every byte there is."""
    raw = bytes(range(256)) * 4
    items.add(thing(raw=raw))
    found = items.get(Thing, "t-1")
    assert found is not None
    assert found.raw == raw


def test_a_large_item_is_kept(items: Items) -> None:
    """A launch with a long history is far larger than most, and must still be saved."""
    before = thing(text="x" * 390 * 1024)
    items.add(before)
    items.save(before, next_of(before, plain="y"))
    found = items.get(Thing, "t-1")
    assert found is not None
    assert (len(found.text), found.plain) == (390 * 1024, "y")


def test_an_item_that_is_too_large_is_refused_whole(items: Items) -> None:
    """DynamoDB takes 400 KB; half an item would be worse than none. It is no passing trouble, either."""
    too_long = "x" * 410 * 1024
    with pytest.raises(Exception, match=r".") as caught:
        items.add(thing(text=too_long))
    assert not isinstance(caught.value, LaterError)
    assert items.get(Thing, "t-1") is None


def test_a_save_that_is_too_large_is_refused_whole(items: Items, request: pytest.FixtureRequest) -> None:
    """As above, of an item that has grown."""
    if request.node.callspec.params["store"] == "moto":
        pytest.xfail("moto refuses an update that is too large after it has made it")
    too_long = "x" * 410 * 1024
    items.add(thing())
    with pytest.raises(Exception, match=r".") as caught:
        items.save(thing(), next_of(thing(), text=too_long))
    assert not isinstance(caught.value, LaterError)
    assert items.get(Thing, "t-1") == thing()


# Old code and new code, side by side


class NewerThing(Thing, frozen=True, kw_only=True):
    """What the next version of the code makes of a thing."""

    kind = "launch"

    colour: str | None = None
    shades: tuple[str, ...] = ()


def newer(item: Thing, **fields: Any) -> NewerThing:
    """Return a thing as the next version of the code has it."""
    return NewerThing(**{name: getattr(item, name) for name in item.__struct_fields__}, **fields)


def test_older_code_leaves_alone_what_it_does_not_know(items: Items) -> None:
    """During a deployment both versions write, and neither may lose what the other wrote."""
    items.add(newer(thing(), colour="red", shades=("dark", "light")))
    older = items.get(Thing, "t-1")
    assert older == thing()
    items.save(thing(), next_of(thing(), text="by the older"))
    found = items.get(NewerThing, "t-1")
    assert found == newer(next_of(thing(), text="by the older"), colour="red", shades=("dark", "light"))


def test_newer_code_reads_what_older_code_wrote(items: Items) -> None:
    """An item that is years old has none of the newer fields."""
    items.add(thing())
    found = items.get(NewerThing, "t-1")
    assert found == newer(thing())
    items.save(newer(thing()), newer(thing(version=2), colour="blue"))
    assert items.get(Thing, "t-1") == thing(version=2)


def test_older_and_newer_code_take_turns(items: Items) -> None:
    """Each conflicts with the other as with itself."""
    items.add(newer(thing(), colour="red"))
    items.save(thing(), next_of(thing()))
    with pytest.raises(VersionConflictError):
        items.save(newer(thing(), colour="red"), newer(next_of(thing()), colour="green"))
    found = items.get(NewerThing, "t-1")
    assert found is not None
    assert found.colour == "red"


@over_a_line
def test_only_what_differs_is_written(table: Table) -> None:
    """A change of one field that rewrote all would undo the work of newer code, and cost for the whole item."""
    launch = builders.running()
    table.add(launch)
    after = life.change(launch, wanted="stop", actor=DEV, at=AT)
    asked: list[dict[str, Any]] = []
    connection: Any = table._table.connection  # type: ignore[attr-defined]
    send = connection._make_api_call

    def listen(operation: str, arguments: dict[str, Any]) -> Any:
        asked.append(arguments)
        return send(operation, arguments)

    connection._make_api_call = listen
    table.save(launch, after)
    (call,) = asked
    written = set(call["ExpressionAttributeNames"].values())
    assert written == {
        *(
            "version",
            "seq",
            "history",
            "head",
            "wanted",
            "wanted_by",
            "cue",
            "due_at",
        ),  # what stopping changes
    } | ({"updated_at"} if launch.updated_at != after.updated_at else set())
    assert "attribute_not_exists" not in call["ConditionExpression"]


# Lists


def listed(name: str, under: str = "mine") -> dict[str, Any]:
    """Return the field by which a thing stands in the list of this name."""
    return {name: under}


def filled(items: Items, *, count: int = 7, **fields: Any) -> list[str]:
    """Add so many things to a list, one an hour, and return their ids, newest first."""
    for number in range(count):
        items.add(thing(f"t-{number}", AT + number * HOUR, text=f"{number}", **fields))
    return [f"t-{number}" for number in reversed(range(count))]


LISTS: dict[str, Callable[..., Any]] = {
    "feed": lambda items, **options: items.feed(Shown, "mine", **options),
    "state": lambda items, **options: items.in_state(Shown, "mine", **options),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_a_list_is_read_page_by_page_newest_first(items: Items, name: str, limit: int) -> None:
    """Every item stands on one page, and there is a cursor just as long as there is more."""
    expected = filled(items, **listed(name))
    found, cursor = [], None
    for page_number in range(1, 9):  # noqa: B007 - it is read after the loop
        page = LISTS[name](items, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        found += shown(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == expected
    assert page_number == -(-len(expected) // limit)


@pytest.mark.parametrize("name", LISTS)
def test_what_is_new_does_not_shift_the_pages_that_follow(items: Items, name: str) -> None:
    """Launches come in while somebody reads; none may be seen twice or missed for that."""
    expected = filled(items, **listed(name))
    first = LISTS[name](items, cursor=None, limit=3)
    items.add(thing("t-new", AT + 100 * HOUR, **listed(name)))
    second = LISTS[name](items, cursor=first.cursor, limit=100)
    assert shown(first) + shown(second) == expected
    assert shown(LISTS[name](items, cursor=first.cursor, limit=100)) == shown(second)


@pytest.mark.parametrize("name", LISTS)
def test_items_of_the_same_moment_are_told_apart(items: Items, name: str) -> None:
    """A pipeline submits many within one microsecond of the clock."""
    for number in range(9):
        items.add(thing(f"t-{number}", **listed(name)))
    found, cursor = [], None
    while True:
        page = LISTS[name](items, cursor=cursor, limit=2)
        found += shown(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == [f"t-{number}" for number in range(9)]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_its_own_items_only(items: Items, name: str) -> None:
    """Somebody's launches are not somebody else's."""
    items.add(thing("t-1", **listed(name)))
    items.add(thing("t-2", **listed(name, "mine too")))
    items.add(thing("t-3"))
    assert shown(LISTS[name](items, cursor=None, limit=10)) == ["t-1"]


@pytest.mark.parametrize("name", LISTS)
def test_an_item_leaves_a_list_when_it_says_so(items: Items, name: str) -> None:
    """An inbox must not show what is decided, nor the list of a state what has left it."""
    before = thing(**listed(name))
    items.add(before)
    items.save(before, next_of(before, **{name: None}))
    page = LISTS[name](items, cursor=None, limit=10)
    assert (page.items, page.cursor) == ((), None)
    items.save(next_of(before, **{name: None}), next_of(next_of(before), **listed(name)))
    assert shown(LISTS[name](items, cursor=None, limit=10)) == ["t-1"]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_an_item_as_it_is_now_and_where_it_was(items: Items, name: str) -> None:
    """What changed is shown, in the place of when it was made."""
    filled(items, count=3, **listed(name))
    before = thing("t-0", AT, text="0", **listed(name))
    items.save(before, next_of(before, text="changed", updated_at=AT + 99 * HOUR))
    page = LISTS[name](items, cursor=None, limit=10)
    assert page.items == (Shown("t-2", "2"), Shown("t-1", "1"), Shown("t-0", "changed"))


def test_a_state_can_be_read_from_a_moment_back(items: Items) -> None:
    """A report of an old month must not read through all that came after it; the moment itself is left out."""
    expected = filled(items, **listed("state"))
    first = items.in_state(Shown, "mine", cursor=None, limit=2, before=AT + 4 * HOUR)
    rest = items.in_state(Shown, "mine", cursor=first.cursor, limit=100, before=AT + 4 * HOUR)
    assert shown(first) + shown(rest) == expected[3:]
    assert shown(items.in_state(Shown, "mine", cursor=None, limit=9, before=AT)) == []


def test_an_empty_list_has_no_cursor(items: Items) -> None:
    """Nothing is a whole page."""
    for ask in LISTS.values():
        page = ask(items, cursor=None, limit=10)
        assert (page.items, page.cursor) == ((), None)


def encoded(text: str) -> str:
    """Return a text as cursors are written."""
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "é",
        "\x00",
        "a b",
        encoded(""),
        encoded("~"),
        encoded("2026"),
        encoded('{"S": "x"}'),
        encoded("2026-13-45T99:00:00.000000Z#"),
        "A" * 5000,
        "9" * 100,
    ],
)
def test_a_cursor_that_no_list_gave_is_refused(items: Items, name: str, cursor: str) -> None:
    """A caller who mangled it is told so, and does not silently begin anew."""
    filled(items, count=3, **listed(name))
    with pytest.raises(InvalidError):
        LISTS[name](items, cursor=cursor, limit=1)


@pytest.mark.parametrize(
    "mangle",
    [
        lambda one: one[4:],
        lambda one: one[::-1],
        lambda one: f" {one}",
        lambda one: one + "A",
        lambda one: one + "====",
        lambda one: one + "!!!!",
        str.swapcase,
    ],
)
def test_a_cursor_that_was_mangled_is_refused(items: Items, mangle: Callable[[str], str]) -> None:
    """As above: half a cursor must not be taken for another place."""
    filled(items, count=3, feed="mine")
    cursor = items.feed(Shown, "mine", cursor=None, limit=1).cursor
    assert cursor is not None
    with pytest.raises(InvalidError):
        items.feed(Shown, "mine", cursor=mangle(cursor), limit=1)


def test_a_launch_stands_with_whoever_asked_and_under_its_state(items: Items) -> None:
    """These are the two lists that people read."""
    waiting, running = (
        builders.awaiting(),
        msgspec.structs.replace(builders.running(), id="l-2", at=AT + HOUR),
    )
    items.add(waiting)
    items.add(running)
    mine = read.launches_of(outside(items), DEV, cursor=None, limit=10)
    assert [(one.id, one.state) for one in mine.items] == [("l-2", "RUNNING"), ("l-1", "PENDING_APPROVAL")]
    assert mine.items[1] == LaunchSummary(
        id="l-1",
        state=State.PENDING_APPROVAL,
        name="fair",
        template="web-small",
        requester=DEV,
        cost_center="4711",
        currency="USD",
        monthly=Decimal("7.60"),
        at=AT,
    )
    items.save(waiting, builders.approve(waiting, LEAD2))
    assert shown(items.in_state(LaunchSummary, State.PENDING_APPROVAL, cursor=None, limit=10)) == []
    assert shown(items.in_state(LaunchSummary, State.PENDING, cursor=None, limit=10)) == ["l-1"]


def test_a_notice_stands_in_the_inbox_until_it_is_closed(items: Items) -> None:
    """The inbox is the index of open deliveries."""
    notice = other_items()["delivery"]
    assert isinstance(notice, Delivery)
    items.add(notice)
    inbox = f"inbox#{LEAD.key}"
    assert items.feed(Waiting, inbox, cursor=None, limit=10).items == (
        Waiting(launch="l-1", gate="lead", round=1),
    )
    items.save(notice, deliveries.closed(notice, AT))
    assert items.feed(Waiting, inbox, cursor=None, limit=10).items == ()


class _Items(msgspec.Struct):
    items: Any


def outside(items: Items) -> Any:
    """Return as much of the outside as reading needs."""
    return _Items(items)


# Alarms


def test_what_is_due_comes_the_longest_due_first(items: Items) -> None:
    """If there is more than one waking can take, nobody waits for ever."""
    for number in (3, 1, 4, 0, 2):
        items.add(thing(f"t-{number}", due_at=AT + number * MINUTE))
    items.add(other_items()["delivery"])
    now = AT + 3 * MINUTE
    assert items.due(now, 10) == [("launch", f"t-{number}") for number in range(4)]
    assert ("delivery", other_items()["delivery"].id) in items.due(AT + 5 * MINUTE, 10)


def test_an_alarm_rings_at_its_moment_and_not_before(items: Items) -> None:
    """A gate is open until its expiry, and not a microsecond longer."""
    items.add(thing(due_at=AT))
    assert items.due(AT - timedelta(microseconds=1), 10) == []
    assert items.due(AT, 10) == [("launch", "t-1")]


def test_an_alarm_that_is_moved_or_taken_off_rings_no_more(items: Items) -> None:
    """What is settled must not be woken."""
    before = thing(due_at=AT)
    items.add(before)
    later = next_of(before, due_at=AT + HOUR)
    items.save(before, later)
    assert items.due(AT + MINUTE, 10) == []
    items.save(later, next_of(later, due_at=None))
    assert items.due(AT + 100 * HOUR, 10) == []


def test_one_waking_takes_no_more_than_it_can(items: Items) -> None:
    """A flood of alarms is taken in turns; the limit is for each shard."""
    for number in range(40):
        items.add(thing(f"t-{number}", due_at=AT + number * SECOND))
    taken = items.due(AT + HOUR, 3)
    assert 3 <= len(taken) <= 3 * 4
    assert taken[0] == ("launch", "t-0")
    assert len(items.due(AT + HOUR, 100)) == 40


# Many at once


def test_many_are_read_at_once_as_they_are_now(items: Items) -> None:
    """An inbox page checks each of its launches, in one call."""
    for number in range(100):
        items.add(thing(f"t-{number}"))
    items.save(thing("t-5"), next_of(thing("t-5"), text="now"))
    ids = [f"t-{number}" for number in range(100)]
    found = items.get_many(Thing, ids)
    assert sorted(found) == sorted(ids)
    assert found["t-5"] == next_of(thing("t-5"), text="now")


def test_reading_many_passes_over_what_is_not_there_or_named_twice(items: Items) -> None:
    """Several notices may be of one launch, and a launch may be gone."""
    items.add(thing("t-1"))
    assert items.get_many(Thing, ["t-1", "none", "t-1"]) == {"t-1": thing("t-1")}
    assert items.get_many(Thing, []) == {}
    assert items.get_many(Delivery, ["t-1"]) == {}


@over_a_line
@pytest.mark.parametrize("left", [1, 5, 10])
def test_what_the_table_left_unread_is_asked_for_again(table: Table, left: int) -> None:
    """DynamoDB may answer with a part when it throttles; to show that as all would hide what waits."""
    for number in range(10):
        table.add(thing(f"t-{number}"))
    connection: Any = table._table.connection  # type: ignore[attr-defined]
    send, asked = connection._make_api_call, []

    def partly(operation: str, arguments: dict[str, Any]) -> Any:
        (request,) = arguments["RequestItems"].values()
        asked.append(len(request["Keys"]))
        later = request["Keys"][:left] if len(asked) == 1 else []
        request["Keys"] = [key for key in request["Keys"] if key not in later]
        answer = send(operation, arguments) if request["Keys"] else {"Responses": {}}
        return {**answer, "UnprocessedKeys": {table._name: {"Keys": later}} if later else {}}

    connection._make_api_call = partly
    try:
        assert len(table.get_many(Thing, [f"t-{number}" for number in range(10)])) == 10
    finally:
        connection._make_api_call = send
    assert asked == [10, left]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_more_than_a_megabyte_is_whole(items: Items, name: str) -> None:
    """DynamoDB answers with 1 MB at most; to take that for the last page would lose whatever is older."""
    for number in range(12):
        items.add(thing(f"t-{number:02d}", AT + number * HOUR, text="x" * 150 * 1024, **listed(name)))
    first = LISTS[name](items, cursor=None, limit=10)
    second = LISTS[name](items, cursor=first.cursor, limit=10)
    assert [one.id for one in (*first.items, *second.items)] == [f"t-{n:02d}" for n in range(11, -1, -1)]
    assert second.cursor is None


@over_a_line
@pytest.mark.parametrize(("name", "room"), [("feed", 1), ("feed", 3), ("state", 1)])
def test_an_answer_that_is_cut_is_gone_on_with(table: Table, name: str, room: int) -> None:
    """However little an answer has room for, a page has as many as were asked for, and no row twice."""
    expected = filled(table, **listed(name))
    connection: Any = table._table.connection  # type: ignore[attr-defined]
    send, starts = connection._make_api_call, []

    def cut(operation: str, arguments: dict[str, Any]) -> Any:
        starts.append(arguments.get("ExclusiveStartKey"))
        return send(operation, {**arguments, "Limit": min(room, arguments["Limit"])})

    connection._make_api_call = cut
    try:
        first = LISTS[name](table, cursor=None, limit=4)
        second = LISTS[name](table, cursor=first.cursor, limit=4)
    finally:
        connection._make_api_call = send
    assert shown(first) + shown(second) == expected
    assert (len(first.items), second.cursor) == (4, None)
    assert any(starts)


@over_a_line
@pytest.mark.parametrize("given", [0, 1], ids=["nothing", "a part"])
def test_what_the_table_goes_on_leaving_unread_is_asked_for_later(table: Table, given: int) -> None:
    """A function that asked for ever would be ended in the middle; a part that passes for all hides the rest."""
    table.add(thing("t-1"))
    connection: Any = table._table.connection  # type: ignore[attr-defined]
    send = connection._make_api_call

    def partly(operation: str, arguments: dict[str, Any]) -> Any:
        (request,) = arguments["RequestItems"].values()
        now, later = request["Keys"][:given], request["Keys"][given:] or request["Keys"]
        request["Keys"] = now
        answer = send(operation, arguments) if now else {"Responses": {}}
        return {**answer, "UnprocessedKeys": {table._name: {"Keys": later}}}

    connection._make_api_call = partly
    try:
        with pytest.raises(LaterError):
            table.get_many(Thing, ["t-1", "t-2"])
    finally:
        connection._make_api_call = send


@over_a_line
def test_an_item_is_read_as_it_is_now(table: Table) -> None:
    """A copy of a moment ago may lack the decision that counts; only an index can give no better."""
    grown(table, 70, 10)
    with mock.patch.object(
        BaseClient,
        "_make_api_call",
        autospec=True,
        side_effect=BaseClient._make_api_call,  # type: ignore[attr-defined]
    ) as call:
        table.get(Thing, "t-1")
        table.get_many(Thing, ["t-1"])
        table.put_aside(Thing, "t-1")
        Histories(table._name, REGION).part(AT, (), cursor=None, limit=100)
    asked = [(operation, arguments) for _, operation, arguments in (one.args for one in call.call_args_list)]
    assert [operation for operation, _ in asked] == ["GetItem", "BatchGetItem", "Query", "Scan", "Query"]
    for _, arguments in asked:
        (of_table,) = arguments.get("RequestItems", {"": arguments}).values()
        assert of_table["ConsistentRead"]


# History


def happened(item: Thing, times: int) -> Thing:
    """Return the thing, next version, after so many events."""
    return item.happened(
        AT, *[events.DeliveryDue(launch=f"l-{item.seq + n}") for n in range(1, times + 1)]
    ).next_version()


def grown(items: Items, total: int, step: int = 1) -> Thing:
    """Store a thing and let events happen to it, save by save; return it as it is stored."""
    items.add(thing())
    while True:
        item = items.get(Thing, "t-1")
        assert item is not None
        if item.seq >= total:
            return item
        items.save(item, happened(item, step))


def test_an_item_keeps_64_events_and_puts_the_older_half_aside(items: Items) -> None:
    """An item never grows with age."""
    item = grown(items, 64, 16)
    assert len(item.history) == 64
    assert items.put_aside(Thing, "t-1") == []
    items.save(item, happened(item, 1))
    after = items.get(Thing, "t-1")
    assert after is not None
    assert [one.seq for one in after.history] == list(range(33, 66))
    assert [one.seq for one in items.put_aside(Thing, "t-1")] == list(range(1, 33))


@over_a_line
def test_what_was_put_aside_is_read_whole_and_once(table: Table) -> None:
    """An answer has 1 MB at most, and a save that was refused leaves events in both places."""
    item = grown(table, 160, 32)
    with pytest.raises(VersionConflictError):
        table.save(thing(), happened(item, 1))
    ask = BaseClient._make_api_call  # type: ignore[attr-defined]

    def cut(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        return ask(self, operation, {**arguments, "Limit": 1} if operation == "Query" else arguments)

    with mock.patch.object(BaseClient, "_make_api_call", cut):
        aside = table.put_aside(Thing, "t-1")
        (whole,) = Histories(table._name, REGION).part(AT, (), cursor=None, limit=100).histories
    assert aside[-1].seq >= item.history[0].seq > 1
    assert [one.seq for one in aside] == list(range(1, aside[-1].seq + 1))
    assert [one.seq for one in whole.events] == list(range(1, item.seq + 1))


@pytest.mark.parametrize("step", [5, 32])
def test_no_event_is_lost_however_long_the_history(items: Items, step: int) -> None:
    """What was decided a year ago can still be told."""
    item = grown(items, 230, step)
    assert len(item.history) <= 64
    aside = items.put_aside(Thing, "t-1")
    whole = [*(one for one in aside if one.seq < item.history[0].seq), *item.history]
    assert [one.seq for one in whole] == list(range(1, item.seq + 1))
    assert [one.data["launch"] for one in whole] == [f"l-{seq}" for seq in range(1, item.seq + 1)]


def test_a_save_that_was_refused_leaves_history_readable(items: Items) -> None:
    """Events are put aside before the item is saved: if that fails they stand in both places, once when read."""
    item = grown(items, 64, 16)
    items.save(item, next_of(item, text="faster"))
    with pytest.raises(VersionConflictError):
        items.save(item, happened(item, 1))
    found = items.get(Thing, "t-1")
    assert found is not None
    assert [one.seq for one in found.history] == list(range(1, 65))
    items.save(found, happened(found, 1))
    after = items.get(Thing, "t-1")
    assert after is not None
    aside = [one.seq for one in items.put_aside(Thing, "t-1")]
    assert aside == list(range(1, 33))
    assert [one.seq for one in after.history] == list(range(33, 66))


@over_a_line
def test_a_scan_finds_every_history_whole(table: Table) -> None:
    """What is told again after an outage is all that happened since, of all items, what was put aside too."""
    old = grown(table, 70, 10)
    told = [events.DeliveryDue(launch=f"l-{number}") for number in range(3)]
    table.add(thing("t-2", AT + DAY).happened(AT + DAY, *told).next_version())
    histories = Histories(table._name, REGION)
    found: dict[str, list[int]] = {}
    cursor = None
    while True:
        part = histories.part(AT + HOUR, (), cursor=cursor, limit=1)
        found |= {one.id: [event.seq for event in one.events] for one in part.histories}
        cursor = part.cursor
        if cursor is None:
            break
    assert found == {"t-2": [1, 2, 3]}
    part = histories.part(AT, ("launch",), cursor=None, limit=100)
    whole = {one.id: [event.seq for event in one.events] for one in part.histories}
    assert whole == {"t-1": list(range(1, old.seq + 1)), "t-2": [1, 2, 3]}


@over_a_line
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5)), timezone(timedelta(hours=-5))])
def test_a_scan_passes_over_nothing_that_may_have_happened_since(table: Table, zone: timezone) -> None:
    """Two clocks wrote the item and its events, and neither is quite right; whoever asks has a third, in some zone."""
    table.add(thing().happened(AT, events.DeliveryDue(launch="l-1")).next_version())
    histories = Histories(table._name, REGION)
    for minutes, found in {4: ["t-1"], 6: []}.items():
        part = histories.part((AT + minutes * MINUTE).astimezone(zone), (), cursor=None, limit=100)
        assert [one.id for one in part.histories] == found


def turned(this: Launch, wanted: Any) -> Launch:
    """Return a launch after it was stopped or started."""
    asked = life.change(this, wanted=wanted, actor=DEV, at=AT)
    state: Any = "stopped" if wanted == "stop" else "running"
    return life.observe(asked, resource="i-1", state=state, changed_at=AT, at=AT)


def test_the_history_that_people_read_has_no_gap(items: Items) -> None:
    """What is put aside and what is kept are read as one."""
    launch = msgspec.structs.replace(builders.running(), id=launch_id(bytes(20)))
    begun = launch.seq
    while len(launch.history) < 62:
        launch = turned(turned(launch, "stop"), "start")
    items.add(launch)
    for wanted in ("stop", "start"):
        items.save(launch, turned(launch, wanted))
        found = items.get(Launch, launch.id)
        assert found is not None
        launch = found
    told, head = read.history(outside(items), launch.id)
    assert [one.seq for one in told] == list(range(1, launch.seq + 1))
    assert told[0].type == "launch.requested"
    assert len(told) > len(launch.history)
    assert head is not None
    exported = [msgspec.json.decode(msgspec.json.encode(cloud_event(launch.id, one))) for one in told[begun:]]
    assert chain.verify(exported, [Head(launch.id, launch.seq, head)]).bad == ()


# Many writers


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Let all writers work at the same time, and return what each got: an answer or a refusal."""

    def one(number: int) -> Any:
        try:
            return work(number)
        except (ItemExistsError, VersionConflictError) as error:
            return error

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


def winners(results: list[Any]) -> list[int]:
    """Return who was not refused."""
    return [number for number, result in enumerate(results) if not isinstance(result, Exception)]


def test_of_many_who_add_one_wins(items: Items) -> None:
    """Two submissions under one key are one launch."""
    items.get(Thing, "warm")
    for round_ in range(ROUNDS):
        id_ = f"t-{round_}"
        results = at_once(lambda number, id_=id_: items.add(thing(id_, text=f"{number}")))  # type: ignore[misc]
        (winner,) = winners(results)
        assert items.get(Thing, id_) == thing(id_, text=f"{winner}")
        assert {type(one) for one in results if isinstance(one, Exception)} == {ItemExistsError}


def test_of_many_who_save_one_wins(items: Items) -> None:
    """Two launchers that claim one launch would launch it twice."""
    for round_ in range(ROUNDS):
        before = thing(f"t-{round_}")
        items.add(before)
        results = at_once(lambda number, before=before: items.save(before, next_of(before, text=f"{number}")))  # type: ignore[misc]
        (winner,) = winners(results)
        assert items.get(Thing, before.id) == next_of(before, text=f"{winner}")
        assert {type(one) for one in results if one} == {VersionConflictError}


def test_of_many_who_decide_each_counts_once(items: Items) -> None:
    """A conflict is looked at again, and nobody's word is lost."""
    people = [Actor("https://id.example.com", f"person-{number}") for number in range(WRITERS)]
    launch = builders.launch(builders.gate("lead", *people, quorum=WRITERS))
    items.add(launch)
    at_once(
        lambda number: saving.change(items, launch, lambda this: builders.decide(this, people[number])),
    )
    after = items.get(Launch, launch.id)
    assert after is not None
    assert {one.actor for one in after.gate("lead").decisions} == set(people)
    assert after.state is State.PENDING
    assert after.version == launch.version + WRITERS
    assert [one.seq for one in after.history] == list(range(1, after.seq + 1))
    assert [one.type for one in after.history].count("launch.cleared") == 1


# Answers that are lost


def once(operation: str) -> Callable[[str], bool]:
    """Return a rule that loses the first answer to an operation."""
    left = [operation]

    def lose(asked: str) -> bool:
        if asked not in left:
            return False
        left.remove(asked)
        return True

    return lose


@over_a_line
def test_a_save_whose_answer_was_lost_is_taken_for_what_it_is(table: Table) -> None:
    """The client repeats it, and finds its own write; asked again, the command sees that all is done."""
    launch = builders.awaiting()
    table.add(launch)
    with tables.line() as line:
        line.lose = once("UpdateItem")
        after = saving.change(table, launch, lambda this: builders.approve(this, LEAD2))
    assert line.attempts == ["UpdateItem", "UpdateItem", "GetItem"]
    assert after == table.get(Launch, launch.id) == builders.approve(launch, LEAD2)


@over_a_line
def test_a_save_whose_answer_was_lost_says_so_to_who_looks_no_further(table: Table) -> None:
    """To the table alone its own write is that of somebody else."""
    table.add(thing())
    with tables.line() as line:
        line.lose = once("UpdateItem")
        with pytest.raises(VersionConflictError):
            table.save(thing(), next_of(thing(), text="mine"))
    assert table.get(Thing, "t-1") == next_of(thing(), text="mine")


@over_a_line
def test_an_add_whose_answer_was_lost_finds_itself(table: Table) -> None:
    """Whoever adds looks whether what is there is what it meant."""
    with tables.line() as line:
        line.lose = once("PutItem")
        with pytest.raises(ItemExistsError):
            table.add(thing())
    assert line.attempts == ["PutItem", "PutItem"]
    assert table.get(Thing, "t-1") == thing()


@over_a_line
def test_a_save_that_is_never_answered_is_not_called_a_failure(table: Table) -> None:
    """It was done; whoever asked has to ask again, and must not be told that nothing happened."""
    table.add(thing())
    with tables.line() as line:
        line.lose = lambda operation: operation == "UpdateItem"
        with pytest.raises(LaterError):
            table.save(thing(), next_of(thing(), text="mine"))
    assert table.get(Thing, "t-1") == next_of(thing(), text="mine")


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("ProvisionedThroughputExceededException", LaterError),
        ("ThrottlingException", LaterError),
        ("RequestLimitExceeded", LaterError),
        ("InternalServerError", LaterError),
        ("ServiceUnavailable", LaterError),
        ("TransactionConflictException", LaterError),
        ("AccessDeniedException", PynamoDBException),
        ("ResourceNotFoundException", PynamoDBException),
        ("ValidationException", PynamoDBException),
    ],
)
@pytest.mark.parametrize("ask", [lambda table: table.get(Thing, "t-1"), lambda table: table.add(thing())])
@over_a_line
def test_what_the_table_says_is_waited_for_if_it_passes(
    table: Table, ask: Callable[[Table], Any], code: str, named: type[Exception]
) -> None:
    """A throttle is over in a moment; a role or a table that is missing is for somebody to mend, and is said."""
    said = ClientError({"Error": {"Code": code, "Message": "no"}}, "GetItem")
    with mock.patch.object(BaseClient, "_make_api_call", side_effect=said), pytest.raises(named):
        ask(table)


@pytest.mark.parametrize(
    "ask",
    [
        lambda table: table.get(Thing, "t-1"),
        lambda table: table.get_many(Thing, ["t-1"]),
        lambda table: table.due(AT, 10),
        lambda table: table.put_aside(Thing, "t-1"),
        lambda table: table.feed(Shown, "mine", cursor=None, limit=1),
        lambda table: table.in_state(Shown, "mine", cursor=None, limit=1),
    ],
)
@over_a_line
def test_a_question_whose_answer_was_lost_is_asked_again(table: Table, ask: Callable[[Table], Any]) -> None:
    """Reading twice harms nobody; only when no answer ever comes does the caller hear of it."""
    table.add(thing(feed="mine", state="mine", due_at=AT))
    expected = ask(table)
    with tables.line() as line:
        left = [1]
        line.lose = lambda _operation: bool(left and left.pop())
        assert ask(table) == expected
        line.lose = lambda _operation: True
        with pytest.raises(LaterError):
            ask(table)


@over_a_line
def test_writing_is_one_call_and_reading_is_one_call(table: Table) -> None:
    """The design counts four writes in a life, none of them a transaction."""
    with tables.line() as line:
        table.add(thing(feed="mine", due_at=AT))
        table.save(thing(feed="mine", due_at=AT), next_of(thing(feed="mine", due_at=AT), text="x"))
        table.get(Thing, "t-1")
        table.get_many(Thing, ["t-1", "t-2"])
        table.feed(Shown, "mine", cursor=None, limit=1)
    assert line.attempts == ["PutItem", "UpdateItem", "GetItem", "BatchGetItem", "Query"]


def test_people_of_the_example_are_who_they_are() -> None:
    """The builders' people stand in keys, so two must not share one."""
    assert len({one.key for one in (DEV, LEAD, LEAD2, OPS)}) == 4


# Another epoch


@pytest.fixture
def next_epoch(items: Items) -> Items:
    """Give the same table as it goes on in epoch 2."""
    if isinstance(items, memory.Table):
        items.restore(items.keep(), 2)
        return items
    assert isinstance(items, Table)
    return Table(items._name, tables.REGION, 2)


def test_what_is_read_in_another_epoch_goes_on_in_it(items: Items, request: pytest.FixtureRequest) -> None:
    """An event must not get the id of one that went out before the table was restored."""
    this = builders.launch()
    items.add(this)
    later: Items = request.getfixturevalue("next_epoch")
    for found in (later.get(Launch, this.id), later.get_many(Launch, [this.id])[this.id]):
        assert found is not None
        assert found == this.changed(seq=EPOCH)
    assert found is not None
    after = found.happened(AT, events.LaunchStopped(launch=found.facts)).next_version()
    later.save(found, after)
    again = later.get(Launch, this.id)
    assert again == after
    assert again is not None
    assert again.history[-1].seq == again.seq == EPOCH + 1
    assert not chain.verify(fresh(again), [Head(again.id, again.seq, again.head or "")]).bad


def test_what_is_added_in_another_epoch_begins_in_it(next_epoch: Items) -> None:
    """The restored table may have lost an item of the same id, whose events everybody knows."""
    this = builders.launch()
    made = next_epoch.add(this)
    assert [one.seq for one in made.history] == [EPOCH + one.seq for one in this.history]
    assert set(made.cue) == {EPOCH + one for one in this.cue}
    assert next_epoch.get(Launch, this.id) == made
    assert not chain.verify(fresh(made), [Head(made.id, made.seq, made.head or "")]).bad


def fresh(item: Launch) -> list[dict[str, Any]]:
    """Return an item's history as an auditor gets it."""
    found: list[dict[str, Any]] = msgspec.json.decode(
        msgspec.json.encode([cloud_event(item.id, one) for one in item.history])
    )
    return found
