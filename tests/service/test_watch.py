"""Places are looked over: what EC2's messages left out is noted, and what nobody approved is told, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gonogo.core import watch as watches
from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import Account, Place
from gonogo.core.states import State
from gonogo.core.usage import UsageDay
from gonogo.core.watch import Stray, Watch
from gonogo.ports import Page, Seen
from gonogo.service import launch as launcher
from gonogo.service import observe, wake, watch
from tests import memory
from tests.service import lives
from tests.service.road import Road
from tests.service.true_lives import bill

HERE = Place("us-east-1")


@pytest.fixture
def running(road: Road) -> Launch:
    """Give a launch that runs, each of its instances seen."""
    made = road.submit("ops")
    road.until(lambda: lives.runs(road, made))
    return road.now(made)


def machine(road: Road, number: int = 0) -> memory.Machine:
    """Return an instance of the cloud."""
    return list(road.cloud.machines.values())[number]


def look(road: Road, **span: float) -> None:
    """Let time pass until the place is looked over, and let it be."""
    road.clock.go(**(span or {"minutes": 5}))
    wake.wake(road.outside)
    road.settle()


def a_watch(road: Road) -> Watch:
    """Return the one watch."""
    (found,) = road.table.all(Watch)
    return found


def strays(road: Road) -> dict[str, str]:
    """Return who was told of as running without an approval, and why; each event once."""
    told = [one["data"] for one in road.outside.sent_on.published if one["type"] == "instance.unapproved"]
    assert len(told) == len({one["instance"] for one in told})
    return {one["instance"]: one["why"] for one in told}


def billed(road: Road) -> int:
    """Return all seconds that were recorded."""
    return sum(one.seconds for one in road.table.all(UsageDay))


# When a place is looked over


def test_a_place_is_watched_before_anything_is_launched_there(road: Road) -> None:
    """If the launcher dies right after RunInstances, somebody looks for what it made."""
    made = road.submit("ops")
    seen: list[list[str]] = []

    def refuse(*_arguments: object, **_named: object) -> tuple[str, ...]:
        seen.append([one.id for one in road.table.all(Watch)])
        raise LaterError("no answer")

    road.cloud.launch = refuse  # type: ignore[method-assign]
    with pytest.raises(LaterError):
        launcher.launch(road.outside, made.id)
    assert seen == [[watches.id_of(HERE)]]


def test_it_rests_when_nothing_is_there_and_goes_on_with_the_next_launch(road: Road, running: Launch) -> None:
    """Looking at nothing for ever would cost for ever."""
    lives.ends(road, running, "ops")
    road.sleep(hours=1)
    assert a_watch(road).due_at is None
    again = road.submit("ops", key="again")
    road.until(lambda: lives.runs(road, again))
    assert a_watch(road).due_at is not None
    road.sleep(hours=1)
    assert a_watch(road).due_at is not None


def test_it_does_not_rest_before_ec2_shows_what_is_new(road: Road) -> None:
    """A look right after the launch shows nothing, and no event came: the next looks still find it."""
    road.cloud.hushed = True
    other = road.submit("ops", key="other")
    road.until(lambda: road.state(other) is State.RUNNING)
    ours = machine(road).id
    road.cloud.hidden.add(ours)
    for _ in range(2):
        look(road)
    road.cloud.hidden.clear()
    look(road)
    assert [(one.id, one.state) for one in road.table.all(Instance)] == [(ours, "running")]


@pytest.mark.parametrize("call", ["launch_of", "note"])
def test_it_does_not_rest_while_it_shows_what_could_not_be_noted(
    road: Road, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The table is out each time it looks: what runs there by a launch of ours must not be left to itself."""
    road.cloud.hushed = True
    other = road.submit("ops", key="other")
    road.until(lambda: road.state(other) is State.RUNNING)

    def out(*_arguments: object) -> None:
        raise LaterError("throttled")

    with monkeypatch.context() as during:
        during.setattr(observe, call, out)
        for _ in range(6):
            look(road)
    assert road.table.all(Instance) == []
    look(road)
    assert [one.state for one in road.table.all(Instance)] == ["running"]


def test_it_does_not_rest_while_its_list_is_behind(
    road: Road, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of DynamoDB may not have yet what is there: what it shows to run is not left to itself for that."""
    assert running.state is State.RUNNING
    with monkeypatch.context() as during:
        during.setattr(road.table, "in_state", lambda *_arguments, **_named: Page((), None))
        for _ in range(6):
            look(road)
    assert a_watch(road).due_at is not None


def test_a_launch_that_meets_the_look_that_would_let_it_rest(road: Road, running: Launch) -> None:
    """It looks, finds nothing, and before it writes that, something is launched: it must go on."""
    lives.ends(road, running, "ops")
    road.sleep(hours=1)
    before = a_watch(road)
    woken = watches.woken(before, HERE, road.clock())
    road.table.save(before, woken)
    road.clock.go(minutes=16)
    survey = road.cloud.survey

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        watch.begin(road.outside, running.plan)
        return survey(*arguments, **named)

    road.cloud.survey = meanwhile  # type: ignore[method-assign]
    assert watch.look_over(road.outside, before.id)
    assert a_watch(road).due_at is not None


def test_it_costs_no_write_to_launch_where_it_is_watched(road: Road, running: Launch) -> None:
    """A hundred launches an hour must not all write the one item."""
    before = a_watch(road).version
    for number in range(5):
        launched = road.submit("ops", key=f"k{number}")
        road.until(lambda one=launched: lives.runs(road, one))  # type: ignore[misc]
    assert a_watch(road).version == before
    assert running.state is State.RUNNING


def test_a_watch_that_goes_on_by_what_was_seen_of_it_is_not_read_again(
    road: Road, running: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred launches an hour need not all read the one item; near its end, or of another role, it is read."""
    read: list[str] = []
    get = road.table.get

    def counted(kind: type[Any], name: str) -> Any:
        read.append(name)
        return get(kind, name)

    monkeypatch.setattr(road.table, "get", counted)
    before = a_watch(road)
    watch.begin(road.outside, running.plan)
    road.clock.go(minutes=7)
    watch.begin(road.outside, running.plan)
    assert (read, a_watch(road)) == ([], before)
    road.clock.go(minutes=1)
    for _ in range(2):
        watch.begin(road.outside, running.plan)
    assert (len(read), a_watch(road).until) == (1, road.clock() + watches.LINGERS)
    for _ in range(2):
        watch.begin(road.outside, msgspec.structs.replace(running.plan, account=THERE))
    assert len(read) == 2


def test_another_process_does_not_know_what_this_one_saw(road: Road, running: Launch) -> None:
    """What rests by now is woken by whoever has not seen it rest, once what was seen of it is over."""
    lives.ends(road, running, "ops")
    seen = dict(road.outside.watched)
    road.sleep(hours=1)
    assert a_watch(road).due_at is None
    assert road.outside.watched == seen
    watch.begin(road.outside, running.plan)
    assert a_watch(road).due_at is not None


def test_not_before_it_is_time(road: Road, running: Launch) -> None:
    """An alarm that rings twice makes one look."""
    assert not watch.look_over(road.outside, a_watch(road).id)
    assert not watch.look_over(road.outside, "w-none")
    assert running.state is State.RUNNING


# What was missed


@pytest.mark.parametrize(("state", "ends"), [("stopped", State.STOPPED), ("terminated", State.TERMINATED)])
def test_a_stop_that_nobody_told_of_is_noted_as_reconciled(
    road: Road, running: Launch, state: Any, ends: State
) -> None:
    """EC2's event was lost; the next look finds it, since when it is so, and the bill says who said so."""
    began = road.clock()
    road.clock.go(minutes=20)
    stopped_at = road.clock()
    road.cloud.hushed = True
    road.cloud.turn(machine(road).id, state)
    look(road)
    assert road.state(running) is ends
    (day,) = road.table.all(UsageDay)
    (record,) = day.records
    assert (record.begin, record.end, record.stop_source) == (began, stopped_at, "reconciled")
    told = [one for one in road.outside.sent_on.published if one["type"] == f"instance.{state}"]
    assert [one["data"]["stop_source"] for one in told] == ["reconciled"]


def test_a_start_that_nobody_told_of_is_noted(road: Road) -> None:
    """It runs, and costs, though EC2 never said so."""
    road.cloud.hushed = True
    launched = road.submit("ops")
    road.until(lambda: road.state(launched) is State.RUNNING)
    began = road.clock()
    look(road)
    assert lives.runs(road, launched)
    road.cloud.hushed = False
    road.clock.go(minutes=5)
    lives.ends(road, launched, "ops")
    assert billed(road) == int((road.clock() - began).total_seconds())


def test_a_launch_whose_end_was_lost_is_not_wanted_for_ever(road: Road, running: Launch) -> None:
    """Somebody wanted it ended; it did, and EC2's word of it was lost."""
    road.cloud.hushed = True
    road.change("ops", running, "terminate")
    road.settle()
    assert road.now(running).wanted == "terminate"
    look(road)
    assert (road.state(running), road.now(running).wanted) == (State.TERMINATED, None)
    assert not [kind for kind, _ in road.table.alarms() if kind == "launch"]


def test_a_restart_between_two_looks(road: Road, running: Launch) -> None:
    """Both events were lost: that it stopped, nobody can know; that it started again is known, and it runs on."""
    road.cloud.hushed = True
    road.clock.go(minutes=1)
    road.cloud.turn(machine(road).id, "stopped")
    road.clock.go(minutes=1)
    road.cloud.turn(machine(road).id, "running")
    look(road)
    versions = [one.version for one in road.table.all(Instance)]
    look(road)
    assert [one.version for one in road.table.all(Instance)] == versions
    (day,) = road.table.all(UsageDay)
    assert [one.end is None for one in day.intervals] == [False, True]
    assert day.intervals[0].source == "reconciled"
    assert running.state is State.RUNNING


def test_what_is_gone_without_a_word_ended_when_it_was_last_seen(road: Road, running: Launch) -> None:
    """EC2 forgets an instance after an hour; if nobody looked in that hour, nobody knows more."""
    look(road)
    last_seen = a_watch(road).looked_at
    assert last_seen is not None
    del road.cloud.machines[machine(road).id]
    look(road, hours=3)
    (found,) = road.table.all(Instance)
    assert (found.state, found.changed_at, found.vanished) == ("terminated", last_seen, True)
    assert road.state(running) is State.TERMINATED
    (day,) = road.table.all(UsageDay)
    assert [one.stop_source for one in day.records] == ["vanished"]
    road.sleep(hours=1)
    assert a_watch(road).due_at is None


def test_the_late_word_of_what_had_vanished_counts(road: Road, running: Launch) -> None:
    """The message of its end had waited in a queue all day: then it is known after all, and the bill is corrected."""
    began = road.clock()
    look(road)
    road.queues["observe"].held = True
    road.clock.go(minutes=30)
    ended = road.clock()
    road.cloud.turn(machine(road).id, "terminated")
    del road.cloud.machines[machine(road).id]
    look(road, hours=26)
    assert billed(road) == 300
    road.queues["observe"].held = False
    road.settle()
    assert billed(road) == int((ended - began).total_seconds())
    assert road.state(running) is State.TERMINATED
    corrections = [one for day in road.table.all(UsageDay) for one in day.records if one.corrects]
    assert [one.stop_source for one in corrections] == ["event"]


def test_what_nobody_ever_saw_and_is_shown_no_more_does_not_keep_its_launch_for_ever(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran for seconds while EC2's events were lost and nobody looked: its end is wanted, and never told of."""
    road.queues["observe"].held = True
    made = road.submit("ops")
    road.until(lambda: road.state(made) is State.RUNNING)
    road.queues["observe"].messages.clear()
    road.queues["observe"].held = False
    del road.cloud.machines[machine(road).id]
    for one in road.table.all(Watch):
        road.table.save(one, one.changed(due_at=None).next_version())
    road.clock.go(hours=2)
    road.change("ops", made, "terminate")
    monkeypatch.setattr(road.cloud, "terminate", lambda *_: None)  # what is gone is terminated already
    road.until(lambda: road.state(made) is State.TERMINATED)
    assert billed(road) == 0


def test_who_dies_while_it_vanishes_does_not_make_its_late_word_worthless(
    road: Road, running: Launch
) -> None:
    """Its bill had heard that it vanished, the instance had not: when EC2 tells of its end, that still counts."""
    gone = road.cloud.machines.pop(machine(road).id)
    begun = road.table.all(Instance)[0].changed_at
    save, dies = road.table.save, [True]

    def dying(before: Any, after: Any) -> None:
        if dies and isinstance(after, Launch):
            dies.clear()
            raise LaterError("no answer")
        save(before, after)

    road.table.save = dying  # type: ignore[method-assign]
    look(road, minutes=10)
    assert not dies
    ended = begun + timedelta(minutes=20)
    road.clock.go(minutes=20)
    observed = {
        "instance": gone.id,
        "region": gone.region,
        "account": None,
        "state": "terminated",
        "at": ended,
    }
    road.handlers["observe"](observed)
    assert billed(road) == 20 * 60
    del running


def test_what_had_vanished_and_is_there_again_goes_on_costing_and_is_told_of(
    road: Road, running: Launch
) -> None:
    """EC2 did not show it for a while; its launch has ended by then, but it has not."""
    ours = machine(road).id
    began = road.clock()
    look(road)
    road.cloud.hidden.add(ours)
    look(road, minutes=10)
    assert road.state(running) is State.TERMINATED
    road.cloud.hidden.clear()
    look(road)
    assert strays(road) == {ours: "not_of_launch"}
    assert [(one.state, one.vanished) for one in road.table.all(Instance)] == [("running", False)]
    road.clock.go(minutes=30)
    road.cloud.turn(ours, "terminated")
    road.settle()
    assert billed(road) == int((road.clock() - began).total_seconds())


def test_an_instance_just_launched_and_not_shown_yet_has_not_vanished(road: Road) -> None:
    """Its event came first; DescribeInstances is behind it (EC2 API reference, "Eventual consistency")."""
    launched = road.submit("ops")
    road.until(lambda: lives.runs(road, launched))
    before = a_watch(road)
    road.clock.go(minutes=4, seconds=59)
    second = road.submit("ops", key="second")
    road.until(lambda: lives.runs(road, second))
    new = machine(road, 1).id
    road.cloud.hidden.add(new)
    look(road, seconds=1)
    assert a_watch(road).looked_at != before.looked_at
    assert {one.state for one in road.table.all(Instance)} == {"running"}


# What nobody approved


def theirs(road: Road, name: str = "i-theirs", **changed: Any) -> memory.Machine:
    """Put an instance in the cloud that no launch of ours made."""
    fields: dict[str, Any] = {
        "id": name,
        "image": "ami-theirs",
        "kind": "p4d.24xlarge",
        "region": "us-east-1",
        "token": "theirs",
        "tags": {},
        "began_at": road.clock(),
        **changed,
    }
    road.cloud.machines[name] = memory.Machine(**fields)
    return road.cloud.machines[name]


def test_what_has_no_tag_is_told_of_only_where_all_is_scanned(road: Road, running: Launch) -> None:
    """In an account that is not gonogo's alone, everything else is none of its business."""
    theirs(road)
    look(road)
    assert strays(road) == {}
    road.outside.scans = True
    look(road)
    look(road)
    assert strays(road) == {"i-theirs": "untagged"}
    assert running.state is State.RUNNING


def test_forged_tags_are_told_of_and_not_billed_to_whom_they_name(road: Road, running: Launch) -> None:
    """Anybody may tag: of no launch, of one that made others, or of one that is being launched."""
    waits = road.submit(key="waits")
    theirs(road, "i-none", tags={"gonogo:launch": "l-none"})
    theirs(road, "i-other", tags={"gonogo:launch": running.id}, token=machine(road).token)
    theirs(road, "i-waits", tags={"gonogo:launch": waits.id}, token=road.now(waits).client_token())
    look(road)
    look(road)
    assert strays(road) == {"i-none": "no_launch", "i-other": "not_of_launch", "i-waits": "not_of_launch"}
    assert {one.id for one in road.table.all(Instance)} == {machine(road).id}
    assert {one.facts.instance for one in road.table.all(UsageDay)} <= {machine(road).id}


def test_what_is_being_launched_is_no_stray(road: Road, running: Launch) -> None:
    """RunInstances was answered, and the launcher died: its token and tag say whose it is, until it is recorded."""
    made = road.submit("ops", key="dies")
    launch = road.cloud.launch

    def dies(*arguments: Any, **named: Any) -> tuple[str, ...]:
        launch(*arguments, **named)
        raise LaterError("no answer")

    road.queues["observe"].held = True
    road.cloud.launch = dies  # type: ignore[method-assign]
    with pytest.raises(LaterError):
        launcher.launch(road.outside, made.id)
    look(road)
    assert (road.state(made), strays(road)) == (State.LAUNCHING, {})
    road.cloud.launch = launch  # type: ignore[method-assign]
    road.queues["observe"].held = False
    road.until(lambda: lives.runs(road, made))
    assert strays(road) == {}
    assert running.state is State.RUNNING


def test_a_token_of_ours_in_another_place_is_forged(road: Road, running: Launch) -> None:
    """Who may look at one region sees the token there, and may use it in another, where nobody approved anything."""
    made = road.submit("ops", key="dies")
    road.cloud.launch = _no_answer  # type: ignore[method-assign]
    with pytest.raises(LaterError):
        launcher.launch(road.outside, made.id)
    token = road.now(made).client_token()
    watch.begin(road.outside, msgspec.structs.replace(running.plan, region="eu-west-1"))
    theirs(road, "i-far", tags={"gonogo:launch": made.id}, token=token, region="eu-west-1")
    look(road)
    assert strays(road) == {"i-far": "not_of_launch"}


def _no_answer(*_arguments: object, **_named: object) -> tuple[str, ...]:
    raise LaterError("no answer")


def test_another_type_than_was_approved_is_told_of_and_billed_as_it_was_approved(
    road: Road, running: Launch
) -> None:
    """Whoever may stop it may make a dear one of it; the price that was approved is all that gonogo knows."""
    machine(road).kind = "p4d.24xlarge"
    look(road)
    look(road)
    assert strays(road) == {machine(road).id: "changed"}
    (found,) = road.table.all(Instance)
    assert (found.instance_type, str(found.hourly)) == ("t3.micro", "0.0104")
    assert running.state is State.RUNNING


def test_another_type_is_told_of_even_at_first_sight(road: Road) -> None:
    """Nobody has seen it as it was approved."""
    road.cloud.hushed = True
    launched = road.submit("ops")
    road.until(lambda: road.state(launched) is State.RUNNING)
    machine(road).kind = "p4d.24xlarge"
    look(road)
    assert strays(road) == {machine(road).id: "changed"}
    (found,) = road.table.all(Instance)
    assert (found.instance_type, str(found.hourly)) == ("t3.micro", "0.0104")


def test_what_was_rolled_back_is_billed_and_is_no_stray(road: Road, running: Launch) -> None:
    """Of two, one could be made, and was terminated again: it ran for a while."""
    name = machine(road).id
    undone = running.changed(
        state=State.FAILED, resources=(), rolled_back=(name,), history=(), version=running.version + 1
    )
    road.table.save(running, undone)
    road.clock.go(minutes=3)
    road.cloud.hushed = True
    road.cloud.turn(name, "terminated")
    look(road)
    assert strays(road) == {}
    assert billed(road) == 180
    assert road.state(running) is State.FAILED


def test_what_ends_is_told_of_no_more(road: Road, running: Launch) -> None:
    """A stray that is gone by the time of the look costs nothing any more."""
    road.outside.scans = True
    theirs(road, "i-gone", state="terminated", changed_at=road.clock())
    theirs(road, "i-going", state="terminated", on_its_way=True)
    look(road)
    assert strays(road) == {}
    assert running.state is State.RUNNING


# Places


THERE = Account(
    role="arn:aws:iam::210987654321:role/launcher",
    observer="arn:aws:iam::210987654321:role/observer",
    external_id="ours",
)


def elsewhere(road: Road, running: Launch) -> Launch:
    """Return the launch moved to another account, with its instance."""
    plan = msgspec.structs.replace(running.question.plan, account=THERE)
    question = msgspec.structs.replace(running.question, plan=plan)
    (one,) = road.table.all(Instance)
    launch = running.changed(question=question, version=running.version + 1)
    road.table.save(running, launch)
    road.table.save(one, one.changed(account=THERE, version=one.version + 1))
    machine(road).account = THERE.number
    watch.begin(road.outside, plan)
    return launch


def test_each_place_is_looked_over_by_itself(road: Road, running: Launch) -> None:
    """The same region of another account is another place, looked at by the role that is named for that."""
    launch = elsewhere(road, running)
    asked: list[Place] = []
    survey = road.cloud.survey

    def kept(place: Place, *, ours: bool) -> Any:
        asked.append(place)
        return survey(place, ours=ours)

    road.cloud.survey = kept  # type: ignore[method-assign]
    road.cloud.hushed = True
    road.cloud.turn(machine(road).id, "terminated")
    look(road)
    assert set(asked) == {HERE, Place("us-east-1", THERE)}
    assert road.state(launch) is State.TERMINATED


def test_an_event_of_another_account_is_looked_up_there(road: Road, running: Launch) -> None:
    """A rule there forwards it; what it is about is seen only by the role that may look there."""
    launch = elsewhere(road, running)
    road.clock.go(minutes=1)
    road.cloud.turn(machine(road).id, "stopped")
    road.settle()
    assert road.state(launch) is State.STOPPED
    (day,) = road.table.all(UsageDay)
    assert day.records[-1].seconds == 60


def test_a_place_that_cannot_be_looked_at_strands_no_other(road: Road, running: Launch) -> None:
    """Somebody has taken the role away: that place waits, the others do not."""
    elsewhere(road, running)
    survey = road.cloud.survey

    def refused(place: Place, *, ours: bool) -> Any:
        if place.account is not None:
            raise RefusedError("AccessDenied", "not any more")
        return survey(place, ours=ours)

    road.cloud.survey = refused  # type: ignore[method-assign]
    road.clock.go(minutes=5)
    with pytest.raises(ExceptionGroup):
        wake.wake(road.outside)
    looked = {one.place: one.looked_at for one in road.table.all(Watch)}
    assert (looked[HERE], looked[Place("us-east-1", THERE)]) == (road.clock(), None)


# Many, and others


def test_more_than_a_page_of_them(road: Road, running: Launch) -> None:
    """Two hundred and fifty vanish at once: each is looked for, though a list's page has a hundred."""
    (one,) = road.table.all(Instance)
    for number in range(250):
        road.table.add(one.changed(id=f"i-many-{number:03d}", version=1, history=()))
    look(road, minutes=5)
    found = road.table.all(Instance)
    assert len(found) == 251
    assert {one.state for one in found if one.id.startswith("i-many")} == {"terminated"}
    assert road.state(running) is State.RUNNING


def test_one_that_cannot_be_noted_strands_no_other(road: Road, running: Launch) -> None:
    """A resource whose engine is gone, or whose launch cannot be read, harms only itself, and is not passed over."""
    (one,) = road.table.all(Instance)
    road.table.add(one.changed(id="s-1", engine="gone", version=1, history=()))
    road.cloud.hushed = True
    road.cloud.turn(machine(road).id, "stopped")
    road.clock.go(minutes=5)
    with pytest.raises(ExceptionGroup):
        wake.wake(road.outside)
    assert road.state(running) is State.STOPPED
    assert a_watch(road).looked_at == road.clock()


class Stacks:
    """`ports.Observer` of an engine whose resources are no instances."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def look(self, resource: str, place: Place) -> Seen | None:
        """Return it as it is."""
        del place
        return Seen(id=resource, kind="stack", state=self.state, client_token="", launch=None)


def test_what_another_engine_made_is_looked_at_by_its_own_eyes(road: Road, running: Launch) -> None:
    """A stack is in no list of instances, and has not vanished for that."""
    (one,) = road.table.all(Instance)
    stacks = Stacks("running")
    road.outside.observer = lambda engine: stacks if engine == "stacks" else road.cloud  # type: ignore[method-assign,assignment,return-value]
    road.table.save(one, one.changed(engine="stacks", version=one.version + 1))
    del road.cloud.machines[one.id]
    look(road)
    assert road.state(running) is State.RUNNING
    stacks.state = "terminated"
    look(road)
    assert road.state(running) is State.TERMINATED
    assert billed(road) == 600


def test_what_only_an_outside_system_knows_is_not_looked_for(road: Road, running: Launch) -> None:
    """Nobody has eyes on it: it ends when that system says so."""
    (one,) = road.table.all(Instance)
    road.outside.observer = lambda engine: None if engine == "event" else road.cloud  # type: ignore[method-assign,assignment,return-value]
    road.table.save(one, one.changed(engine="event", version=one.version + 1))
    del road.cloud.machines[one.id]
    look(road, hours=5)
    assert road.state(running) is State.RUNNING


# What goes wrong


CALLS: Mapping[str, Callable[[Road], object]] = {
    "a stop": lambda road: road.cloud.turn(machine(road).id, "stopped"),
    "an end": lambda road: road.cloud.turn(machine(road).id, "terminated"),
    "vanished": lambda road: road.cloud.machines.pop(machine(road).id),
    "a stray": lambda road: theirs(road, tags={"gonogo:launch": "l-none"}),
}


class _Gone(BaseException):
    """The process ends."""


@pytest.mark.parametrize("what", CALLS)
def test_a_look_that_dies_at_any_call_is_made_good(what: str) -> None:
    """Before and after each call to the table, once: the next look ends as if nothing had been."""
    ends: list[tuple[object, ...]] = []
    for dies_at in range(40):
        road = lives.road(lives.policy())
        launched = road.submit("ops")
        road.until(lambda r=road, one=launched: lives.runs(r, one))  # type: ignore[misc]
        look(road)
        road.clock.go(minutes=7)
        road.cloud.hushed = True
        CALLS[what](road)
        calls = iter(range(100))
        struck = _dying(road, calls, dies_at)
        road.sleep(minutes=20)
        told = sorted((one["type"], one["id"]) for one in road.outside.sent_on.published)
        ends.append(
            (road.state(launched), billed(road), [one.state for one in road.table.all(Instance)], told)
        )
        if not struck:
            break
    assert len(ends) > 6
    assert [one for one in ends if one != ends[-1]] == []


def _dying(road: Road, calls: Any, dies_at: int) -> bool:
    """Look over the place, and die once on the way; return if that was so."""
    real = {name: getattr(road.table, name) for name in ("get", "get_many", "add", "save", "in_state")}

    def dying(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            number = next(calls)
            if number == dies_at and number % 2 == 0:
                raise _Gone
            answer = real[name](*arguments, **named)
            if number == dies_at:
                raise _Gone
            return answer

        return call

    for name in real:
        setattr(road.table, name, dying(name))
    road.clock.go(minutes=5)
    try:
        watch.look_over(road.outside, watches.id_of(HERE))
    except _Gone:
        return True
    finally:
        for name, one in real.items():
            setattr(road.table, name, one)
    return False


def test_who_strays_is_told_of_in_full(road: Road, running: Launch) -> None:
    """Whoever hears of it must be able to find it, and to judge."""
    theirs(road, tags={"gonogo:launch": running.id})
    look(road)
    (event,) = [one["data"] for one in road.outside.sent_on.published if one["type"] == "instance.unapproved"]
    assert event == {
        "instance": "i-theirs",
        "region": "us-east-1",
        "account": None,
        "instance_type": "p4d.24xlarge",
        "image": "ami-theirs",
        "why": "not_of_launch",
        "launch": running.id,
        "began_at": f"{road.clock() - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
    }
    assert len(road.table.all(Stray)) == 1
    assert bill([], road.clock(), 0) == {}


def test_what_failed_to_start_costs_nothing(road: Road) -> None:
    """It was pending, and then it was gone: there is no start, by an event or by a look."""
    road.cloud.hushed = True
    launched = road.submit("ops")
    road.until(lambda: road.state(launched) is State.RUNNING)
    ours = machine(road)
    ours.state, ours.began_at, ours.changed_at = "terminated", None, None
    look(road)
    assert road.state(launched) is State.TERMINATED
    assert billed(road) == 0
