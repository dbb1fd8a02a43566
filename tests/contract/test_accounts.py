"""Clients for places: gonogo's own account by its own right, another by the role that its plan names.

The second engine gives any role to anybody, whatever the external id: all of this is asked of moto and the stub.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

import moto  # isort: skip - after the environment that it reads
from moto.sts.models import sts_backends

from gonogo.aws import accounts
from gonogo.aws.accounts import Accounts
from gonogo.aws.engines.ec2 import Ec2, Ec2Observer
from gonogo.core.errors import InvalidError, LaterError, RefusedError
from gonogo.core.plan import Account, Place, Plan, Unit
from local import moto_faithful
from local.aws import ACCOUNT, client
from tests.functions.quick import image, quick

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
OTHER = Account(
    role="arn:aws:iam::210987654321:role/gonogo/launcher",
    observer="arn:aws:iam::210987654321:role/gonogo/observer",
    external_id="gonogo-1",
)
HOME, THERE = Place(REGION), Place("eu-west-1", OTHER)
TAGS = {"gonogo:launch": "l-1"}


class Clock:
    """A clock that stands until it is told to go."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str | None]]:
    """Give a list of the clients that are made: service, region and access key; STS answers from a stub."""
    found: list[tuple[str, str, str | None]] = []

    def own(service: str, region: str) -> Any:
        found.append((service, region, None))
        return shared("sts") if service == "sts" else object()

    def assumed(service: str, region: str, credentials: Any) -> Any:
        found.append((service, region, credentials["AccessKeyId"]))
        return object()

    monkeypatch.setattr(accounts, "client", own)
    monkeypatch.setattr(accounts, "assumed", assumed)
    return found


def given(number: int, until: datetime) -> dict[str, Any]:
    """Return what AssumeRole answers."""
    key = f"ASIA{number:016}"
    return {
        "Credentials": {
            "AccessKeyId": key,
            "SecretAccessKey": "s" * 20,
            "SessionToken": "t" * 20,
            "Expiration": until,
        }
    }


def asked(role: str, part: str) -> dict[str, Any]:
    """Return how a role is assumed."""
    return {
        "RoleArn": role,
        "RoleSessionName": f"gonogo-{part}",
        "ExternalId": "gonogo-1",
        "DurationSeconds": 3600,
    }


def test_in_its_own_account_gonogo_needs_no_role(made: list[Any], clock: Clock) -> None:
    """And a client is made once for its service and region: making one is dear."""
    clients = Accounts("role", REGION, clock)
    first = clients("ec2", HOME)
    clock.time += timedelta(days=9)
    assert clients("ec2", HOME) is first
    assert clients("ec2", Place("eu-west-1")) is not first
    assert made == [("ec2", REGION, None), ("ec2", "eu-west-1", None)]


@pytest.mark.parametrize(("part", "role"), [("role", OTHER.role), ("observer", OTHER.observer)])
def test_in_another_account_it_is_whom_the_plan_names(
    made: list[Any], clock: Clock, part: accounts.Part, role: str
) -> None:
    """Whoever only looks has the role that only looks; the other account's owner tells us apart by external id."""
    clients = Accounts(part, "eu-north-1", clock)
    with stubbed(shared("sts")) as sts:
        sts.add_response("assume_role", given(1, NOW + timedelta(hours=1)), asked(role, part))
        clients("ec2", THERE)
    assert made == [
        ("sts", "eu-north-1", None),
        ("ec2", "eu-west-1", given(1, NOW)["Credentials"]["AccessKeyId"]),
    ]


def test_a_role_is_assumed_once_for_all_that_is_done_there(made: list[Any], clock: Clock) -> None:
    """Each service and region has a client of its own; nobody else's plan shares the role by chance."""
    clients = Accounts("role", REGION, clock)
    another = msgspec.structs.replace(OTHER, external_id="gonogo-2")
    with stubbed(shared("sts")) as sts:
        sts.add_response("assume_role", given(1, NOW + timedelta(hours=1)), asked(OTHER.role, "role"))
        sts.add_response(
            "assume_role",
            given(2, NOW + timedelta(hours=1)),
            {**asked(OTHER.role, "role"), "ExternalId": "gonogo-2"},
        )
        for _ in range(2):
            clients("ec2", THERE)
            clients("ssm", THERE)
            clients("ec2", Place("eu-north-1", OTHER))
            clients("ec2", Place("eu-west-1", another))
    assert [(service, region, key and key[-1]) for service, region, key in made] == [
        ("sts", REGION, None),
        ("ec2", "eu-west-1", "1"),
        ("ssm", "eu-west-1", "1"),
        ("ec2", "eu-north-1", "1"),
        ("ec2", "eu-west-1", "2"),
    ]


def test_a_client_is_made_anew_before_its_credentials_end(made: list[Any], clock: Clock) -> None:
    """A call must not be refused because they ended on the way: what it asked for would be given up as refused."""
    clients = Accounts("role", REGION, clock)
    with stubbed(shared("sts")) as sts:
        for number in (1, 2):
            until = NOW + timedelta(hours=number)
            sts.add_response("assume_role", given(number, until), asked(OTHER.role, "role"))
        first = clients("ec2", THERE)
        clock.time += timedelta(minutes=55)
        assert clients("ec2", THERE) is first
        clock.time += timedelta(seconds=1)
        second = clients("ec2", THERE)
        assert second is not first
        assert clients("ec2", THERE) is second
    assert [key for service, _, key in made if service == "ec2"] == [
        given(one, NOW)["Credentials"]["AccessKeyId"] for one in (1, 2)
    ]


def test_a_role_that_may_not_be_assumed_is_a_definite_no(made: list[Any], clock: Clock) -> None:
    """It is not in the list of those that may be, or does not trust this external id; and it is asked again."""
    clients = Accounts("role", REGION, clock)
    with stubbed(shared("sts")) as sts:
        sts.add_client_error("assume_role", "AccessDenied", "Not authorized.", http_status_code=403)
        sts.add_response("assume_role", given(1, NOW + timedelta(hours=1)))
        with pytest.raises(RefusedError) as caught:
            clients("ec2", THERE)
        clients("ec2", THERE)
    assert (caught.value.code, caught.value.message) == ("AccessDenied", "Not authorized.")


def plan(place: Place) -> Plan:
    """Return a plan of two instances."""
    return Plan(
        template="web",
        engine="ec2",
        region=place.region,
        account=place.account,
        parameters={},
        spec={"image_id": image(place.region), "instance_type": "t3.micro", "count": 2},
        units=(Unit("t3.micro", 2),),
    )


def test_what_a_refused_role_means_for_whoever_wanted_it(made: list[Any], clock: Clock) -> None:
    """A launch has failed, a template is not to be asked for; but not to see is not to know that it is gone."""
    template = {"launch_template": {"id": "lt-0123456789abcdef0", "version": "$Latest"}}
    clients = Accounts("role", REGION, clock)
    for call, expected in (
        (lambda: Ec2(clients).launch(plan(THERE), token="t", tags={}, files=dict), RefusedError),
        (lambda: Ec2(clients).resolve(template, THERE, {}), InvalidError),
        (lambda: Ec2Observer(clients).look("i-1", THERE), LaterError),
        (lambda: list(Ec2Observer(clients).survey(THERE, ours=True)), LaterError),
    ):
        with stubbed(shared("sts")) as sts:
            for _ in range(2 if expected is RefusedError else 1):  # it looks for what it may have made, too
                sts.add_client_error("assume_role", "AccessDenied", http_status_code=403)
            with pytest.raises(expected):
                call()


@pytest.mark.parametrize(("code", "status"), [*PASSING, ("ExpiredToken", 403), ("RequestExpired", 400)])
def test_a_role_that_cannot_be_assumed_now_may_be_later(
    made: list[Any], clock: Clock, code: str, status: int
) -> None:
    """That our own credentials have just ended is nothing that the other account has said."""
    with stubbed(shared("sts")) as sts:
        sts.add_client_error("assume_role", code, http_status_code=status)
        with pytest.raises(LaterError):
            Accounts("role", REGION, clock)("ec2", THERE)


@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_about_a_role_is_asked_again(made: list[Any], clock: Clock, silence: Exception) -> None:
    """As above."""
    with silent(shared("sts"), "AssumeRole", silence), pytest.raises(LaterError):
        Accounts("role", REGION, clock)("ec2", THERE)


# On moto, which has many accounts


@pytest.fixture
def cloud() -> Iterator[None]:
    """Give moto."""
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        yield
    client.cache_clear()


def whose(place: Place, clock: Clock) -> set[str]:
    """Return the accounts that own the instances that are seen in a place."""
    ec2 = Accounts("observer", REGION, clock)("ec2", place)
    return {one["OwnerId"] for one in ec2.describe_instances()["Reservations"]}


def test_what_is_launched_in_another_account_is_there_and_nowhere_else(cloud: None, clock: Clock) -> None:
    """Launched, adopted, seen and ended by the two roles; gonogo's own account has none of it."""
    clock.time = datetime.now(UTC)  # by which moto says until when its credentials hold
    engine, eyes = (
        Ec2(Accounts("role", REGION, clock)),
        Ec2Observer(Accounts("observer", REGION, clock)),
    )
    this = plan(THERE)
    made = engine.launch(this, token="t", tags=TAGS, files=dict)
    assert engine.launch(this, token="t", tags=TAGS, files=dict) == made
    assert engine.find(this, token="t") == made
    assert whose(THERE, clock) == {"210987654321"}
    assert whose(Place(THERE.region), clock) == set()
    (page,) = eyes.survey(THERE, ours=True)
    assert {one.id for one in page} == set(made)
    assert eyes.look(made[0], Place(THERE.region)) is None
    engine.terminate(this, made)
    seen = eyes.look(made[0], THERE)
    assert seen is not None
    assert seen.state == "terminated"
    roles = [(one.role_arn, one.external_id) for one in sts_backends["210987654321"]["aws"].assumed_roles]
    assert set(roles) == {(OTHER.role, "gonogo-1"), (OTHER.observer, "gonogo-1")}


def test_the_same_token_in_two_accounts_makes_two_things(cloud: None, clock: Clock) -> None:
    """A client token is one account's and region's; nothing of another's is ever adopted."""
    clock.time = datetime.now(UTC)
    engine = Ec2(Accounts("role", REGION, clock))
    here, there = plan(Place(THERE.region)), plan(THERE)
    made = [engine.launch(one, token="t", tags=TAGS, files=dict) for one in (here, there)]
    assert set(made[0]).isdisjoint(made[1])
    assert whose(Place(THERE.region), clock) == {ACCOUNT}
