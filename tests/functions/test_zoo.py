"""Nothing that opens the links in mails decides by it, and the zoo that shows it finds those where something does."""

from __future__ import annotations

import itertools
from pathlib import Path

import httpx
import pytest

from examples.scanner_zoo import __main__ as command
from examples.scanner_zoo import browsers, visitors, zoo
from tests.cli.shell import Gateway
from tests.functions.careless import CODE, FAULTS, Careless
from tests.functions.world import World

LINK = f"https://careless.example/link#{CODE}"
README = Path(visitors.__file__).parent / "README.md"


def test_nothing_that_opens_a_link_decides(world: World) -> None:
    """Every visitor without a browser, on a link of our own: the table is the same, and a person still can."""
    launch = world.ask(template="gpu-large")
    world.settle()
    code = world.token("lead")
    link = f"http://gonogo.test/decide#{code}"

    def make() -> httpx.Client:
        return httpx.Client(transport=Gateway(world))

    reads = zoo.ByReading(make)
    assert zoo.looked_at(reads, link).after.startswith("200 GO or NO-GO?")
    outcomes = list(zoo.by_http(itertools.repeat(link), make, lambda _link: str(world.rows())))
    assert [one.visitor for one in outcomes if one.decided] == []
    assert [one.visitor for one in outcomes if not one.did] == []
    asked = "200 GO or NO-GO?"
    assert reads(link).startswith(asked)
    world.settle()
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    assert world.form("/decide", code=code, digest=launch["digest"], answer="GO").code == 200
    assert not reads(link).startswith(asked)
    assert [one["verdict"] for one in world.read(launch["id"])["gates"][0]["decisions"]] == ["approve"]


def test_there_are_visitors_enough() -> None:
    """A zoo of three animals proves little; each says what it does, and is in the README."""
    every: list[visitors.Visitor | browsers.Driver] = [*visitors.VISITORS, *browsers.DRIVERS]
    assert len(every) >= 20
    assert len({one.name for one in every}) == len(every)
    assert all(one.does.endswith(".") for one in every)
    text = README.read_text()
    for one in every:
        kind, _, how = one.name.partition(", ")
        assert kind.rpartition(" ")[0] in text
        assert how in text, one.name


@pytest.mark.parametrize("fault", FAULTS)
def test_the_zoo_finds_a_link_that_decides(fault: str) -> None:
    """A zoo that finds nothing anywhere would find nothing here: each fault is found by whom it must be."""
    guilty = []
    for visitor in visitors.VISITORS:
        careless = Careless(fault)

        def make(careless: Careless = careless) -> httpx.Client:
            return httpx.Client(transport=httpx.MockTransport(careless.handle))

        witness = zoo.ByAsking(make, "https://careless.example/state", {})
        (outcome,) = zoo.by_http(itertools.repeat(LINK), make, witness, [visitor])
        assert outcome.decided == careless.decided
        guilty += [visitor.name] if outcome.decided else []
    assert FAULTS[fault] in guilty


def test_the_zoo_accuses_no_link_that_decides_nothing() -> None:
    """Who is told of faults that are none stops listening."""
    careless = Careless("none")

    def make() -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(careless.handle))

    witness = zoo.ByReading(make)
    assert not zoo.looked_at(witness, LINK).decided
    assert not [one for one in zoo.by_http(itertools.repeat(LINK), make, witness) if one.decided]


@pytest.mark.parametrize(
    ("fault", "code", "accused"), [("button", 1, "YES"), ("get", 1, "YES"), ("none", 0, "no")]
)
def test_the_command_says_so_in_its_table_and_its_exit_code(
    fault: str,
    code: int,
    accused: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pipeline reads the exit code, a person the table; looking is found out by looking twice."""
    transport = httpx.MockTransport(Careless(fault).handle)
    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **_more: client(transport=transport))
    monkeypatch.setattr(Careless, "answer", _counting(Careless.answer) if fault == "get" else Careless.answer)
    assert command.main([LINK, "--no-browser"]) == code
    shown = capsys.readouterr().out
    assert shown.count("\n") > len(visitors.VISITORS)
    assert {line[23:26].strip() for line in shown.splitlines()[1:4]} | {"no", accused} >= {accused}
    assert f" {accused} " in shown


def _counting(answer: object) -> object:
    """Return the answer with how often it was asked, as a page that says when it was approved."""
    number = itertools.count()

    def counted(self: Careless, method: str, url: str, body: str) -> str:
        return f"{answer(self, method, url, body)} ({next(number)})"  # type: ignore[operator]

    return counted


def test_a_link_that_leads_elsewhere_is_not_followed() -> None:
    """Who tries their own link has not asked us to knock at other doors."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"location": "https://elsewhere.example/"})

    def make() -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(handle))

    list(zoo.by_http(itertools.repeat(LINK), make, lambda _link: ""))
    assert set(asked) == {"careless.example"}
