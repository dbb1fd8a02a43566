"""The policy: published whole or not at all, read as it is now, and kept for those it has judged."""

from __future__ import annotations

import pytest

from gonogo.core import published
from gonogo.core.errors import BundleRefusedError, ItemExistsError, PolicyMissingError
from gonogo.core.item import Item
from gonogo.core.published import CURRENT, CurrentPolicy, StoredBundle
from gonogo.core.states import State
from gonogo.service import policies
from gonogo.service.policies import KEPT, Policies
from tests import memory
from tests.core.builders import policy_files, replaced
from tests.memory import BEGINNING
from tests.service import lives
from tests.service.road import Road


def anybody(_issuer: str) -> bool:
    """Trust every issuer."""
    return True


@pytest.fixture
def table() -> memory.Table:
    """Give an empty table."""
    return memory.Table()


def put(table: memory.Table, files: dict[str, str]) -> str:
    """Put a policy in force and return its digest."""
    return policies.publish(table, files, anybody, BEGINNING).digest


def test_what_is_published_is_in_force(table: memory.Table) -> None:
    """For every process, from the next reading on."""
    reader = Policies(table, anybody)
    first = put(table, policy_files())
    assert reader.current().digest == first
    second = put(table, lives.policy())
    assert reader.current().digest == second
    assert reader.pinned(first).files == policy_files()


def test_publishing_it_again_changes_nothing(table: memory.Table) -> None:
    """A pipeline publishes on every merge."""
    put(table, policy_files())
    before = len(table.changes)
    put(table, policy_files())
    assert len(table.changes) == before


def test_going_back_is_publishing_again(table: memory.Table) -> None:
    """The bundle is there still; the history says what happened."""
    first, second, third = (put(table, files) for files in (policy_files(), lives.policy(), policy_files()))
    assert first == third != second
    now = table.get(CurrentPolicy, CURRENT)
    assert now is not None
    assert [one.data["previous"] for one in now.history] == [None, first, second]


def test_a_bundle_that_breaks_a_rule_changes_nothing(table: memory.Table) -> None:
    """What is in force stays in force."""
    first = put(table, policy_files())
    with pytest.raises(BundleRefusedError):
        put(table, policy_files(gates=replaced("quorum = 1", "quorum = 9")))
    assert Policies(table, anybody).current().digest == first
    assert len(table.all(StoredBundle)) == 1


def test_people_of_an_issuer_that_is_not_trusted_are_refused(table: memory.Table) -> None:
    """The example people have their keys on one laptop, and must not decide in a deployment."""
    with pytest.raises(BundleRefusedError, match="not trusted"):
        policies.publish(table, policy_files(), lambda issuer: issuer.startswith("https://"), BEGINNING)
    assert table.changes == []


def test_a_bundle_that_got_in_some_other_way_decides_nothing(table: memory.Table) -> None:
    """Whoever writes the table past us still has to pass the same rules when it is read."""
    put(table, policy_files())
    with pytest.raises(PolicyMissingError, match="not trusted"):
        Policies(table, lambda _issuer: False).current()


def test_a_bundle_whose_bytes_are_not_of_its_digest_decides_nothing(table: memory.Table) -> None:
    """A restored or doctored item would judge otherwise than the launch was judged."""
    digest = put(table, policy_files())
    other = published.stored(lives.policy(), BEGINNING)
    (stored,) = table.all(StoredBundle)
    table.save(stored, stored.changed(packed=other.packed).next_version())
    with pytest.raises(PolicyMissingError, match=digest):
        Policies(table, anybody).current()


def test_a_bundle_that_is_missing_is_no_policy(table: memory.Table) -> None:
    """No policy means no."""
    with pytest.raises(PolicyMissingError):
        Policies(table, anybody).current()
    with pytest.raises(PolicyMissingError, match="missing"):
        Policies(table, anybody).pinned("0" * 64)


def test_a_bundle_is_read_and_checked_once_a_process(
    table: memory.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking is dear, and a bundle never changes; which one is in force is asked each time."""
    digest = put(table, policy_files())
    read: list[tuple[str, str]] = []
    get = table.get

    def noted(kind: type[Item], id: str) -> Item | None:  # noqa: A002 - the port's name
        read.append((kind.kind, id))
        return get(kind, id)

    monkeypatch.setattr(table, "get", noted)
    reader = Policies(table, anybody)
    for _ in range(3):
        reader.current()
    assert read == [("policy", CURRENT), ("bundle", digest), ("policy", CURRENT), ("policy", CURRENT)]


def test_a_process_keeps_no_more_bundles_than_it_may(table: memory.Table) -> None:
    """One that lives for weeks must not grow with each merge."""
    reader = Policies(table, anybody)
    for number in range(KEPT + 3):
        put(table, {**policy_files(), "note.txt": str(number)})
        reader.current()
    assert len(reader._ready) == KEPT


def test_two_who_publish_first_at_once_both_end_well(
    table: memory.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds the first's, and puts its own in force after it."""
    add = table.add
    raced: list[bool] = []

    def faster(item: Item) -> None:
        if isinstance(item, CurrentPolicy) and not raced:
            raced.append(True)
            put(table, lives.policy())
        add(item)

    monkeypatch.setattr(table, "add", faster)
    last = put(table, policy_files())
    assert Policies(table, anybody).current().digest == last
    now = table.get(CurrentPolicy, CURRENT)
    assert now is not None
    assert len(now.history) == 2


def test_an_answer_that_was_lost_is_published_all_the_same(
    table: memory.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeated the put by itself, and found its own."""
    add = table.add

    def twice(item: StoredBundle) -> None:
        add(item)
        add(item)

    monkeypatch.setattr(table, "add", twice)
    digest = put(table, policy_files())
    monkeypatch.undo()
    assert Policies(table, anybody).current().digest == digest
    with pytest.raises(ItemExistsError):
        table.add(published.stored(policy_files(), BEGINNING))


def test_a_launch_is_decided_by_the_rules_that_judged_it(road: Road) -> None:
    """A gate that asks for fewer from now on asks for as many as before of what waits."""
    road.outside.publish_policy(lives.policy_of_two())
    launch = road.submit()
    road.outside.publish_policy(lives.policy())
    assert road.decide("lead", launch, "lead").state is State.PENDING_APPROVAL
    assert road.decide("lead2", launch, "lead").state is State.PENDING
