"""Real engines over a pretended AWS, behind the real service: what is broken is each call that an engine makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.contract.stubs import REGION

import moto  # isort: skip - after the environment that it reads
from gonogo import ports
from gonogo.aws import engines
from gonogo.core.errors import LaterError
from gonogo.core.launch import Launch
from gonogo.core.plan import POLICY_ENGINE, LaunchRequest, Place
from gonogo.core.states import State
from gonogo.service import identity, submit
from gonogo.service import launch as launcher
from local import moto_faithful
from local.aws import client
from tests import memory
from tests.core.builders import also, policy_files
from tests.functions.faults import Act, CrashError, on_each_call
from tests.functions.quick import quick

EXAMPLE = Path(__file__).parents[2] / "examples" / "stacks"
MOST = 12
POINTS = "fault points"


def clients(service: str, place: Place) -> Any:
    """Return a client that all tests share."""
    return client(service, place.region)


@contextmanager
def cloud() -> Iterator[None]:
    """Give moto as it is here, with nothing in it."""
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        yield
    client.cache_clear()


def bundle(**more: str) -> dict[str, str]:
    """Return the example policy with the templates of examples/stacks; `more` are files of stacks/ by name."""
    prices = (EXAMPLE / "prices.toml").read_text()
    files = policy_files(
        prices=also(prices),
        site=(EXAMPLE / "templates" / "site.toml").read_text(),
        nightly=(EXAMPLE / "templates" / "nightly.toml").read_text(),
    )
    files["stacks/site.yaml"] = (EXAMPLE / "stacks" / "site.yaml").read_text()
    return files | {f"stacks/{name}.yaml": text for name, text in more.items()}


class Outside(memory.Outside):
    """Everything outside in memory, but the engines, which are the real ones."""

    def resolver(self, engine: str) -> ports.Resolver:
        """Return the real engine."""
        return self.engine(engine)

    def engine(self, engine: str) -> ports.Engine:
        """Return the real engine."""
        return super().engine(engine) if engine == POLICY_ENGINE else engines.engine(engine, clients)

    def observer(self, engine: str) -> ports.Observer | None:
        """Return the real eyes."""
        return engines.observer(engine, clients)


class Launcher:
    """A launcher whose calls to AWS can be broken, and its cue, which comes again."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.outside = Outside(files)
        moto_faithful.hooks.now = self.outside.clock

    def ask(self, template: str, **parameters: Any) -> Launch:
        """Let somebody ask who may launch at once."""
        request = LaunchRequest(
            template=template, parameters=parameters, reason="A page for the fair.", cost_center="4711"
        )
        return submit.submit(self.outside, identity.sign_in(self.outside, "Bearer ops"), request, None)

    def now(self, launch: Launch) -> Launch:
        """Return the launch as it is now."""
        found = self.outside.items.get(Launch, launch.id)
        assert found is not None
        return found

    def cue(self, launch: Launch, **broken: Act) -> list[str]:
        """Give the cue once, and return the calls to AWS that were begun; what is broken may end it."""
        with on_each_call(**broken) as calls, suppress(LaterError, CrashError):
            launcher.launch(self.outside, launch.id)
        return calls

    def until_over(self, launch: Launch) -> Launch:
        """Give the cue, minute by minute, until the launcher has nothing to do any more."""
        for _ in range(MOST):
            before = self.now(launch)
            if before.state not in (State.PENDING, State.LAUNCHING):
                return before
            self.cue(launch)
            self.outside.clock.go(minutes=1)
        raise AssertionError(f"it is still {self.now(launch).state}")


def _at(number: int, error: Callable[[], BaseException]) -> Act:
    """Break the call of this number, the first being 0, and no other."""
    count = [0]

    def act(_name: str, _parameters: Mapping[str, Any]) -> None:
        count[0] += 1
        if count[0] == number + 1:
            raise error()

    return act


def _said(code: str, http: int) -> Callable[[], BaseException]:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": http}}
    return lambda: ClientError(answer, "Any")


def _silence() -> BaseException:
    return ReadTimeoutError(endpoint_url="https://aws.example.com")


class Fault(msgspec.Struct, frozen=True):
    """How one call is broken: before it reached AWS, or after AWS did as it was told."""

    side: str
    error: Callable[[], BaseException]
    name: str

    def __str__(self) -> str:
        """Read in one line."""
        return f"{self.name}, {self.side}"


FAULTS = tuple(
    Fault(side, error, name)
    for name, error, sides in (
        ("the process ends", CrashError, ("before", "after")),
        ("no answer", _silence, ("before", "after")),
        ("a throttle", _said("Throttling", 400), ("before",)),
        ("a fault of the server", _said("InternalFailure", 500), ("before", "after")),
        ("out of service", _said("ServiceUnavailable", 503), ("before", "after")),
    )
    for side in sides
)
"""A throttle is never after: what is throttled is not done."""


def sweep(
    ask: Callable[[], Launch],
    play: Callable[[Launch, Mapping[str, Act]], list[str]],
    wrongs: Callable[[Launch], list[str]],
) -> tuple[int, dict[str, list[str]]]:
    """Break each call once in each way; return how many ways there were, and what was then not as it must be.

    Args:
        ask: return a launch that is to be played.
        play: play it with one call broken; the calls that were begun until then.
        wrongs: say what is wrong in the end.
    """
    usual = ask()
    calls = play(usual, {})
    assert wrongs(usual) == []
    assert calls
    found: dict[str, list[str]] = {}
    tried = 0
    for number, call in enumerate(calls):
        for fault in FAULTS:
            launch = ask()
            play(launch, {fault.side: _at(number, fault.error)})
            tried += 1
            if said := wrongs(launch):
                found[f"{number} {call}: {fault}"] = said
    return tried, found


@pytest.fixture(name="pretended")
def pretended_cloud() -> Iterator[None]:
    """Give moto for one test."""
    with cloud():
        yield


__all__ = ["FAULTS", "POINTS", "REGION", "Launcher", "bundle", "clients", "cloud", "pretended_cloud", "sweep"]
