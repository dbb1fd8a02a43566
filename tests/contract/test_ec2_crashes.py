"""A launch on EC2, whatever goes wrong at any call that the launcher makes: one set of instances, all on record.

The real service and the real engine, over moto with client tokens as AWS has them. A call fails, is answered
by nobody, or is the last of its process, before or after what it does; then the cue comes again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import Any, cast

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.contract.stubs import REGION

import moto  # isort: skip - after the environment that it reads
from moto.ec2.models import ec2_backends

from gonogo import ports
from gonogo.aws import clients
from gonogo.aws.engines.ec2 import Ec2, Ec2Observer
from gonogo.core import attempts
from gonogo.core.errors import BusyError, LaterError
from gonogo.core.event import LaunchAttemptFailed
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest, Place
from gonogo.core.states import State
from gonogo.core.watch import EVERY, Stray, id_of
from gonogo.service import identity, submit, watch
from gonogo.service import launch as launcher
from local import moto_faithful
from local.aws import ACCOUNT, client
from tests import memory
from tests.core.builders import policy_files
from tests.functions.quick import quick

IMAGE = "ami-0ec9fb22458dddf3d"
PAIRS = 6
"""How many pairs of faults are tried of each life."""
CUES = 12
"""How often the cue comes, at most: as often as the queue gives it, and the alarm after that."""


class Dead(BaseException):
    """The process ends here; nothing in it can catch that."""


class Wrong(StrEnum):
    """How a call goes wrong."""

    SILENT_BEFORE = "no answer, and nothing was done"
    SILENT_AFTER = "no answer, but it was done"
    BROKEN = "a server's error, and nothing was done"
    THROTTLED = "it is throttled"
    DEAD_BEFORE = "the process ends before the call"
    DEAD_AFTER = "the process ends after the call"


AFTER = (Wrong.SILENT_AFTER, Wrong.DEAD_AFTER)
OF_THE_TABLE = (Wrong.SILENT_AFTER, Wrong.DEAD_BEFORE, Wrong.DEAD_AFTER)
"""What goes wrong with the table here; tests/service has all of it."""


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong with the nth call of a life."""

    at: int
    wrong: Wrong


class Calls:
    """Counts the calls of a life to EC2 and to the table, and lets some of them go wrong."""

    def __init__(self, full: Mapping[tuple[str, int | None], str], faults: Sequence[Fault]) -> None:
        self.made: list[str] = []
        self.struck: list[Fault] = []
        self.listening = False
        self.meanwhile: dict[int, Callable[[], object]] = {}
        self.full = dict(full)
        self._wrong = {one.at: one.wrong for one in faults}

    def clients(self, service: str, place: Place) -> Any:
        """Make a client whose calls go through here."""
        return _Port(service, clients.client(service, place.region), self)

    def call(self, name: str, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, or what goes wrong in its place."""
        if not self.listening:
            return operation(*arguments, **options)
        at = len(self.made)
        self.made.append(name)
        wrong = self._wrong.get(at)
        if wrong is not None:
            self.struck.append(Fault(at, wrong))
        if wrong is not None and wrong not in AFTER:
            raise _error(wrong, name)
        if at in self.meanwhile:
            self.meanwhile.pop(at)()
        try:
            self._refuse(name, options)
            answer = operation(*arguments, **options)
        except ClientError:
            if wrong is None:
                raise
            answer = None
        if wrong is not None:
            raise _error(wrong, name)
        return answer

    def _refuse(self, name: str, asked: Mapping[str, Any]) -> None:
        """Refuse to run instances where there is no room for them, unless this very call has made them before."""
        if name != "ec2.run_instances":
            return
        subnet = subnets().index(asked["SubnetId"]) if "SubnetId" in asked else None
        code = self.full.get((asked["InstanceType"], subnet))
        made = vars(ec2_backends[ACCOUNT][REGION]).get("launched_by_token", {})
        if code is not None and asked["ClientToken"] not in made:
            raise _said(code, "None left.", 500 if code.startswith("Insufficient") else 400)


class _Port:
    """A client, or the table, whose calls are counted."""

    def __init__(self, name: str, inner: Any, calls: Calls) -> None:
        self._name, self._inner, self._calls = name, inner, calls

    def __getattr__(self, operation: str) -> Any:
        inner, name = getattr(self._inner, operation), f"{self._name}.{operation}"
        if self._name == "items" and operation not in ("add", "save"):
            return inner
        return lambda *arguments, **options: self._calls.call(name, inner, *arguments, **options)


def _error(wrong: Wrong, name: str) -> BaseException:
    if wrong in (Wrong.DEAD_BEFORE, Wrong.DEAD_AFTER):
        return Dead(wrong)
    if name.startswith("items."):
        return LaterError(wrong)
    if wrong in (Wrong.SILENT_BEFORE, Wrong.SILENT_AFTER):
        return ReadTimeoutError(endpoint_url=name)
    if wrong is Wrong.THROTTLED:
        return _said("RequestLimitExceeded", wrong, 503)
    return _said("InternalError", wrong, 500)


def _said(code: str, message: str, status: int) -> ClientError:
    said: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "Operation")


class Sky(memory.Outside):
    """Everything outside, in memory but for EC2, which is moto."""

    def __init__(self, files: Mapping[str, str], calls: Calls) -> None:
        self.calls = calls
        super().__init__(files)
        moto_faithful.hooks.now = self.clock

    @property
    def items(self) -> ports.Items:
        """The table."""
        return cast("ports.Items", _Port("items", self.table, self.calls))

    def resolver(self, engine: str) -> ports.Resolver:
        """Return the real resolver."""
        return self.engine(engine)

    def engine(self, engine: str) -> ports.Engine:
        """Return the real engine, over clients whose calls may go wrong."""
        del engine
        return Ec2(self.calls.clients)

    def observer(self, engine: str) -> ports.Observer | None:
        """Return the real observer."""
        del engine
        return Ec2Observer(lambda service, place: clients.client(service, place.region))


# The lives


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What a template asks for, where there is no room for what, and how that must end.

    Subnets go by their number. `runs` has how many of which type in which subnet, `failed` choice and code of
    each attempt that is in the history.
    """

    count: int = 2
    subnets: int = 0
    choices: tuple[Mapping[str, Any], ...] = ()
    partial: bool = False
    full: Mapping[tuple[str, int | None], str] = {}
    runs: Mapping[tuple[str, int | None], int] = {}
    failed: tuple[tuple[int, str], ...] = ()
    took_back: int = 0


NO_ROOM, NO_RIGHT = "InsufficientInstanceCapacity", "VcpuLimitExceeded"
SMALL: Mapping[str, Any] = {"instance_type": "t3.small"}
LIVES: Mapping[str, Life] = {
    "one part": Life(runs={("t3.micro", None): 2}),
    "two parts": Life(count=3, subnets=2, runs={("t3.micro", 0): 2, ("t3.micro", 1): 1}),
    "refused in part": Life(
        subnets=2, full={("t3.micro", 1): NO_RIGHT}, failed=((1, NO_RIGHT),), took_back=1
    ),
    "no room in part, another subnet": Life(
        subnets=2,
        choices=({"subnet_ids": [2, 3]},),
        full={("t3.micro", 1): NO_ROOM},
        runs={("t3.micro", 2): 1, ("t3.micro", 3): 1},
        failed=((1, NO_ROOM),),
        took_back=1,
    ),
    "no room anywhere": Life(
        subnets=2,
        choices=(SMALL, {"subnet_ids": [2]}),
        full={("t3.micro", 1): NO_ROOM, ("t3.small", 0): NO_ROOM, ("t3.micro", 2): NO_ROOM},
        failed=((1, NO_ROOM), (2, NO_ROOM)),
        took_back=1,
    ),
    "another choice is refused": Life(
        choices=(SMALL, {"instance_type": "t3.medium"}),
        full={("t3.micro", None): NO_ROOM, ("t3.small", None): NO_RIGHT},
        failed=((1, NO_ROOM),),
    ),
    "partial, of another choice": Life(
        subnets=2,
        partial=True,
        choices=(SMALL,),
        full={("t3.micro", 0): NO_ROOM, ("t3.small", 1): NO_ROOM},
        runs={("t3.small", 0): 1},
        failed=((1, NO_ROOM), (2, NO_ROOM)),
    ),
}


@cache
def subnets() -> list[str]:
    """Return the subnets of moto's default network."""
    return sorted(str(one["SubnetId"]) for one in client("ec2").describe_subnets()["Subnets"])


@cache
def policy(name: str) -> dict[str, str]:
    """Return the example policy, with the template of a life."""
    life = LIVES[name]

    def spec(of: Mapping[str, Any]) -> str:
        named = {
            **of,
            **({"subnet_ids": [subnets()[one] for one in of["subnet_ids"]]} if "subnet_ids" in of else {}),
        }
        return "\n".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in named.items())

    first: dict[str, Any] = {"image_id": IMAGE, "instance_type": "t3.micro", "count": life.count}
    if life.subnets:
        first["subnet_ids"] = list(range(life.subnets))
    template = f"""
title = "A web server"
engine = "ec2"
region = "{REGION}"
lease = {{ default = "30d", max = "90d" }}
partial = {str(life.partial).lower()}
[parameters]
[spec]
{spec(first)}
"""
    template += "".join(f"[[choices]]\n{spec(one)}\n" for one in life.choices)
    prices = 'version = "1"\ncurrency = "USD"\n[hourly.ec2.us-east-1]\n"p4d.24xlarge" = "32.7726"\n'
    prices += "".join(f'"t3.{size}" = "0.01"\n' for size in ("micro", "small", "medium"))
    files = policy_files(web_small=template, prices=prices)
    files.pop("tests.toml", None)
    return files


@contextmanager
def cloud() -> Iterator[None]:
    """Give moto, where client tokens are honoured as on AWS."""
    moto_faithful.install()
    client.cache_clear()
    for one in (subnets, policy, untroubled):
        one.cache_clear()
    with quick(), moto.mock_aws():
        yield
    moto_faithful.hooks.clear()
    client.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def _cloud() -> Iterator[None]:
    """Give moto, to all lives."""
    with cloud():
        yield


def asked(name: str, *faults: Fault) -> tuple[Sky, Launch]:
    """Return a world in which a launch is asked for, and cleared."""
    ec2 = ec2_backends[ACCOUNT][REGION]
    ec2.reservations.clear()
    vars(ec2).pop("launched_by_token", None)
    sky = Sky(policy(name), Calls(LIVES[name].full, faults))
    request = LaunchRequest(
        template="web-small", parameters={}, reason="A page for the fair.", cost_center="4711"
    )
    launch = submit.submit(sky, identity.sign_in(sky, "Bearer ops"), request, None)
    sky.calls.listening = True
    return sky, launch


def cue(sky: Sky, launch: Launch) -> None:
    """Give the launcher its cue until it comes to an end, then once more, as queues do."""
    for _ in range(CUES):
        try:
            launcher.launch(sky, launch.id)
        except (LaterError, BusyError, Dead):
            continue
        launcher.launch(sky, launch.id)
        return
    raise AssertionError("it comes to no end")


def lived(name: str, *faults: Fault) -> tuple[Sky, Launch]:
    """Return the world after a life, with these faults on the way, and the launch as it is then."""
    sky, launch = asked(name, *faults)
    cue(sky, launch)
    sky.calls.listening = False
    return sky, now(sky, launch)


def now(sky: Sky, launch: Launch) -> Launch:
    """Return the launch as it is now."""
    found = sky.table.get(Launch, launch.id)
    assert found is not None
    return found


def told(launch: Launch) -> list[tuple[Any, ...]]:
    """Return what happened to a launch; of each attempt also its choice, code and how much it had made."""
    return [
        (one.type, one.data.get("choice"), one.data.get("code"), len(one.data.get("made", ())))
        for one in launch.history
    ]


def wrongs(life: Life, sky: Sky, launch: Launch) -> Iterator[str]:
    """Say what is not as it must be at the end."""
    every = list(ec2_backends[ACCOUNT][REGION].reservations.values())
    made = {one.id: one for each in every for one in each.instances}
    live = {name: one for name, one in made.items() if one._state.name != "terminated"}
    runs = Counter(
        (one.instance_type, subnets().index(str(one.subnet_id)) if life.subnets else None)
        for one in live.values()
    )
    if runs != Counter(life.runs):
        yield f"{runs} run"
    if launch.state is not (State.RUNNING if life.runs else State.FAILED):
        yield f"it is {launch.state}"
    if {one.id for one in launch.resources} != live.keys():
        yield "what runs is not what is on record"
    if set(launch.rolled_back) != made.keys() - live.keys() or len(launch.rolled_back) != life.took_back:
        yield f"{launch.rolled_back} were taken back, of {made.keys() - live.keys()} that ended"
    failed = [one for one in told(launch) if one[0] == LaunchAttemptFailed.type]
    if [one[1:3] for one in failed] != list(life.failed):
        yield f"attempts that failed: {failed}"


def strays(sky: Sky, launch: Launch) -> Iterator[str]:
    """Say what whoever looks over the place finds amiss: all that was made is known, and approved."""
    sky.clock.time += EVERY
    watch.look_over(sky, id_of(launch.plan.place))
    if sky.table.all(Stray):
        yield f"run without an approval: {[one.id for one in sky.table.all(Stray)]}"
    known = {one.id: one.state for one in sky.table.all(Instance)}
    made = [
        *((one.id, "running") for one in launch.resources),
        *((one, "terminated") for one in launch.rolled_back),
    ]
    if known != dict(made):
        yield f"known as {known}"


@cache
def untroubled(name: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the calls of a life in which nothing goes wrong, and what happened in it."""
    sky, launch = lived(name)
    assert [*wrongs(LIVES[name], sky, launch), *strays(sky, launch)] == []
    return tuple(sky.calls.made), told(launch)


def points(name: str) -> list[Fault]:
    """Return all that can go wrong in a life."""
    calls, _ = untroubled(name)
    return [
        Fault(at, wrong)
        for at, call in enumerate(calls)
        for wrong in Wrong
        if not (call.startswith("items.") and wrong not in OF_THE_TABLE)
        if not (call == "ec2.describe_instances" and wrong in AFTER)  # it does nothing that could be lost
    ]


def troubles(name: str, *faults: Fault) -> list[str]:
    """Return what is not as it must be after a life with these faults."""
    try:
        sky, launch = lived(name, *faults)
    except Exception as error:  # noqa: BLE001 - that is one of the things that may not be
        return [repr(error)]
    struck = [] if sky.calls.struck else ["nothing went wrong"]
    same = [] if told(launch) == untroubled(name)[1] else [f"another history: {told(launch)}"]
    missed = strays(sky, launch) if len(faults) > 1 else ()  # which costs as much as all else
    return [*struck, *same, *wrongs(LIVES[name], sky, launch), *missed]


def assert_none(name: str, found: Mapping[tuple[Fault, ...], list[str]]) -> None:
    """Fail if there is any trouble, naming all."""
    calls, _ = untroubled(name)
    lines = [
        f"{' and '.join(f'{one.at} {calls[one.at]}, {one.wrong}' for one in faults)}: {what}"
        for faults, what in found.items()
        if what
    ]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("name", LIVES)
def test_whatever_goes_wrong_at_one_call_there_is_one_set_of_instances(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """A launcher that dies, hears nothing or is refused for a while is followed by one that goes on."""
    found: dict[tuple[Fault, ...], list[str]] = {(fault,): troubles(name, fault) for fault in points(name)}
    record_property("faults at calls to EC2", len(found))
    assert_none(name, found)


@pytest.mark.parametrize("name", LIVES)
def test_two_things_go_wrong_and_there_is_one_set_of_instances(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    """Whoever follows may be struck as well; of all pairs some are tried, the same ones each time."""
    draw = random.Random(name)  # noqa: S311 - a sample, not a secret
    every = points(name)
    pairs = draw.sample([(one, other) for one in every for other in every if one.at < other.at], PAIRS)
    found: dict[tuple[Fault, ...], list[str]] = {pair: troubles(name, *pair) for pair in pairs}
    record_property("pairs of faults at calls to EC2", len(found))
    assert_none(name, found)


def test_two_launchers_at_once_make_one_set_of_instances() -> None:
    """A queue may give a cue twice; one comes while the other has made the first part."""
    for name in ("two parts", "refused in part", "partial, of another choice"):
        calls, happened = untroubled(name)
        for at, call in enumerate(calls):
            if not call.startswith("ec2."):
                continue
            sky, launch = asked(name)
            sky.calls.meanwhile[at] = lambda sky=sky, launch=launch: launcher.launch(sky, launch.id)  # type: ignore[misc]
            cue(sky, launch)
            sky.calls.listening = False
            after = now(sky, launch)
            assert [*wrongs(LIVES[name], sky, after), *strays(sky, after)] == [], (name, at)
            assert told(after) == happened


@pytest.mark.parametrize(
    ("name", "runs"),
    [("two parts", {}), ("no room in part, another subnet", {("t3.micro", 2): 1, ("t3.micro", 3): 1})],
)
def test_what_one_launcher_made_and_another_was_refused_is_given_back(
    name: str, runs: Mapping[tuple[str, int | None], int]
) -> None:
    """The other heard that there is no room, then room was found; what is recorded first is what counts."""
    sky, launch = asked(name)
    sky.calls.full = {}

    def other() -> None:
        """Record, as the other launcher does, that the second part was refused."""
        this = now(sky, launch)
        every = ec2_backends[ACCOUNT][REGION].reservations.values()
        made = [one for each in every for one in each.instances]
        first = tuple(one.id for one in made if one.client_token == this.client_token())
        assert 0 < len(first) < len(made)
        sky.table.save(
            this,
            attempts.refused(this, code=NO_ROOM, message="None left.", full=True, made=first, at=sky.clock()),
        )

    sky.calls.meanwhile[len(("claim", "watch", "first part", "second part"))] = other
    cue(sky, launch)
    sky.calls.listening = False
    after = now(sky, launch)
    life = LIVES[name]
    expected = msgspec.structs.replace(life, runs=runs, failed=((1, NO_ROOM),), took_back=life.count)
    assert [*wrongs(expected, sky, after), *strays(sky, after)] == []


def test_the_lives_make_every_call_of_the_launch() -> None:
    """A call that no life makes is one whose faults nobody has tried."""
    made = {one for name in LIVES for one in untroubled(name)[0]}
    assert made == {
        "items.add",
        "items.save",
        "ec2.run_instances",
        "ec2.describe_instances",
        "ec2.terminate_instances",
    }
