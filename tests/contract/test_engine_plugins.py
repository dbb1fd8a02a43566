"""Engines of one's own: found by their entry point, put to work by the real service, and never in place of ours."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.engines import POINTS, Launcher, bundle, clients, cloud, sweep

from gonogo.aws import engines  # isort: skip - after the environment that it reads
from gonogo.cli import offline
from gonogo.core.errors import InvalidError, NotPermittedError, RefusedError
from gonogo.core.instance import Instance
from gonogo.core.launch import Launch
from gonogo.core.plan import POLICY_ENGINE, Place
from gonogo.core.states import State
from gonogo.service import change, identity, observe
from local.aws import client
from tests.functions.faults import Act

EXAMPLE = Path(__file__).parents[2] / "examples" / "queues"
HERE = Place("us-east-1")
PRICES = '\n[hourly.queues.us-east-1]\n"queue" = "0.01"\n'


def install(where: Path, name: str, entries: Mapping[str, str], module: str = "") -> None:
    """Lay a package there as `pip install --target` does: its module, and its dist-info."""
    info = where / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{left} = {right}\n" for left, right in entries.items())
    (info / "entry_points.txt").write_text(f"[{engines.GROUP}]\n{lines}")
    if module:
        (where / f"{name}.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder whose packages are installed, and nothing that was found before."""
    monkeypatch.syspath_prepend(str(tmp_path))
    engines._plugin.cache_clear()
    yield tmp_path
    engines._plugin.cache_clear()
    for name in [one for one, made in sys.modules.items() if str(tmp_path) in str(made)]:
        del sys.modules[name]


@pytest.fixture
def queues(site: Path) -> Path:
    """Install the example, as its pyproject.toml says."""
    said = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(site, said["name"].replace("-", "_"), said["entry-points"][engines.GROUP])
    shutil.copy(EXAMPLE / "gonogo_queues.py", site)
    return site


@pytest.fixture
def launcher(queues: Path) -> Iterator[Launcher]:
    """Give a launcher whose policy has the template of the example."""
    del queues
    with cloud():
        files = bundle()
        files["templates/queues.toml"] = (EXAMPLE / "queues.toml").read_text()
        files["prices.toml"] += PRICES
        yield Launcher(files)


def queues_of(launch: Launch) -> list[str]:
    """Return the queues that are there by the launch's token."""
    found: list[str] = client("sqs").list_queues(QueueNamePrefix=launch.client_token()).get("QueueUrls", [])
    return sorted(found)


def test_whatever_goes_wrong_the_example_makes_its_queues_once(
    launcher: Launcher, record_property: Callable[[str, object], None]
) -> None:
    """An engine of two calls dies between them too: the same names give what was made."""

    def play(launch: Launch, broken: Mapping[str, Act]) -> list[str]:
        calls = launcher.cue(launch, **broken)
        launcher.until_over(launch)
        return calls

    def wrongs(launch: Launch) -> list[str]:
        after = launcher.now(launch)
        said = (after.state, sorted(one.id for one in after.resources))
        return [] if said == (State.RUNNING, queues_of(launch)) and len(said[1]) == 2 else [str(said)]

    tried, troubled = sweep(lambda: launcher.ask("queues"), play, wrongs)
    record_property(POINTS, tried)
    assert troubled == {}


def test_the_example_lives_a_whole_life(launcher: Launcher) -> None:
    """Launched, seen, billed each its share, refused what it cannot do, and terminated."""
    launch = launcher.until_over(launcher.ask("queues", count=3))
    assert str(launch.question.price.hourly) == "0.03"
    observe.launched(launcher.outside, launch.id)
    eyes = launcher.outside.observer("queues")
    assert eyes is not None
    for one in launcher.now(launch).resources:
        seen = eyes.look(one.id, HERE)
        assert seen is not None
        assert (seen.state, seen.launch) == ("running", launch.id)
        assert launch.made_with(seen.client_token)
    known = [one for one in launcher.outside.table.all(Instance) if one.launch == launch.id]
    assert [(one.state, str(one.hourly), one.instance_type) for one in known] == [
        ("running", "0.01", "queue")
    ] * 3
    engine = launcher.outside.engine("queues")
    with pytest.raises(RefusedError, match="NotStoppable"):
        engine.stop(launch.plan, [one.id for one in launch.resources])
    ops = identity.sign_in(launcher.outside, "Bearer ops")
    change.change(launcher.outside, ops, launch.id, "terminate")
    for _ in range(2):
        launcher.cue(launch)
    assert queues_of(launch) == []
    assert engine.find(launch.plan, token=launch.client_token()) == ()
    assert eyes.look(launch.resources[0].id, HERE) is None


@pytest.mark.parametrize("name", [*engines.OURS, POLICY_ENGINE])
def test_nobody_takes_the_place_of_an_engine_of_ours(site: Path, name: str) -> None:
    """A package that somebody slipped in would launch what it likes under a name that people trust."""
    install(site, "thief", {name: "thief"}, "def engine(clients): raise SystemExit\nobserver = engine\n")
    if name == POLICY_ENGINE:
        with pytest.raises(RefusedError, match="NoSuchEngine"):
            engines.engine(name, clients)
    else:
        assert type(engines.engine(name, clients)).__module__ == f"gonogo.aws.engines.{name}"
        eyes = engines.observer(name, clients)
        assert eyes is None or type(eyes).__module__ == f"gonogo.aws.engines.{name}"
    with pytest.raises(RefusedError, match="NoSuchEngine"):
        engines.offline(name, clients)
    assert "thief" not in sys.modules


def test_an_engine_that_is_there_twice_is_not_chosen_by_chance(queues: Path) -> None:
    """Which of the two would launch depends on the order of folders."""
    install(queues, "other", {"queues": "other"}, "engine = observer = len\n")
    with pytest.raises(RefusedError, match="more than once: gonogo_queues, other"):
        engines.engine("queues", clients)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import nothing_of_that_name\n", "cannot be loaded"),
        ("def engine(clients): ...\n", "has no 'observer'"),
        ("observer = 1\nengine = len\n", "has no 'observer'"),
    ],
)
def test_an_engine_that_is_broken_is_refused_in_words(site: Path, module: str, words: str) -> None:
    """Whoever asks for it reads why, instead of an error of the server."""
    install(site, "broken_one", {"broken": "broken_one"}, module)
    with pytest.raises(RefusedError, match=words):
        engines.engine("broken", clients)


def test_a_template_of_an_engine_that_is_nowhere_is_refused(launcher: Launcher) -> None:
    """A bundle may name what is not packed."""
    files = dict(launcher.outside.policies.current().files)
    files["templates/none.toml"] = files["templates/queues.toml"].replace('"queues"', '"none"')
    files["prices.toml"] += PRICES.replace("queues", "none")
    launcher.outside.publish_policy(files)
    with pytest.raises(NotPermittedError, match="NoSuchEngine"):
        launcher.ask("none")


# Where a policy is checked


def test_the_example_is_checked_where_its_policy_is_written(queues: Path) -> None:
    """Nothing outside is asked; what is no spec of it is a fault."""
    del queues
    spec, units = offline.resolver("queues").resolve({"count": 2}, HERE, {})
    assert (spec, units[0].quantity) == ({"count": 2, "keeps_seconds": 345_600}, 2)
    with pytest.raises(InvalidError, match="no spec of queues"):
        offline.resolver("queues").resolve({"count": 0}, HERE, {})


ASKS = """
class Engine:
    def __init__(self, clients):
        self.clients = clients

    def resolve(self, spec, place, files):
        self.clients("ssm", place)

def engine(clients):
    return Engine(clients)

observer = engine
"""
OFFLINE = """
class Knows:
    def resolve(self, spec, place, files):
        return dict(spec), ()

offline = Knows
"""


def test_an_engine_that_must_ask_may_bring_a_resolver_that_need_not(site: Path) -> None:
    """Without one the check says so, and does not pass what nobody looked at."""
    install(site, "asks", {"asks": "asks"}, ASKS)
    install(site, "knows", {"knows": "knows"}, ASKS + OFFLINE)
    with pytest.raises(InvalidError, match="'asks' cannot check it"):
        offline.resolver("asks").resolve({}, HERE, {})
    resolved: Any = offline.resolver("knows").resolve({"a": 1}, HERE, {})
    assert resolved == ({"a": 1}, ())
