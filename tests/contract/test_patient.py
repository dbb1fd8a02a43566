"""Patience with hosts: a dead one takes little of the time that the notices to all others need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from gonogo.core.circuit import FIRST, PATIENCE
from gonogo.core.errors import LaterError, RefusedError, SilentError
from gonogo.webhook import DEADLINE, Patient
from tests.memory import BEGINNING

DEAD, ALIVE = "https://dead.example.com/a", "https://alive.example.com/b"


class Hosts:
    """Hosts, and the clock that a call of them moves: one that is dead takes the whole deadline."""

    def __init__(self) -> None:
        self.at = BEGINNING
        self.calls: Counter[str] = Counter()
        self.wrong: dict[str, Exception] = {DEAD: SilentError("The receiver did not answer within 10 s.")}

    def post(self, url: str, body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> None:
        """Take a message, or fail as this host does."""
        del body, message_id, at, secrets
        self.calls[url] += 1
        if url in self.wrong:
            if isinstance(self.wrong[url], SilentError):
                self.at += timedelta(seconds=DEADLINE)
            raise self.wrong[url]


@pytest.fixture(name="hosts")
def some_hosts() -> Hosts:
    """Give a host that is dead, and one that is well."""
    return Hosts()


def post(patient: Patient, hosts: Hosts, url: str) -> str:
    """Post to a host, and say what became of it."""
    try:
        patient.post(url, b"{}", message_id="d-1", at=hosts.at, secrets=())
    except (LaterError, RefusedError) as error:
        return str(error)
    return "taken"


def test_a_dead_host_leaves_time_for_those_that_live(hosts: Hosts) -> None:
    """R10: a hundred notices to it would take a quarter of an hour, in which nobody else is told anything."""
    patient = Patient(hosts)
    for _ in range(100):
        post(patient, hosts, DEAD)
        assert post(patient, hosts, ALIVE) == "taken"
    assert hosts.calls == {DEAD: PATIENCE, ALIVE: 100}
    assert hosts.at - BEGINNING == timedelta(seconds=PATIENCE * DEADLINE)


def test_a_host_that_comes_back_is_found_out(hosts: Hosts) -> None:
    """It is called once in between, and as ever when it answers that."""
    patient = Patient(hosts)
    for _ in range(PATIENCE):
        post(patient, hosts, DEAD)
    with pytest.raises(SilentError, match="Not called: the last 3 calls") as left_alone:
        patient.post(DEAD, b"{}", message_id="d-1", at=hosts.at, secrets=())
    assert left_alone.value.retry_after == FIRST.total_seconds() - DEADLINE
    hosts.wrong.clear()
    hosts.at += FIRST
    assert [post(patient, hosts, DEAD) for _ in range(3)] == ["taken"] * 3


@pytest.mark.parametrize(
    "answer", [LaterError("The receiver answered 503."), RefusedError("404", "The receiver refuses it.")]
)
def test_a_host_that_answers_is_no_dead_one(hosts: Hosts, answer: Exception) -> None:
    """That one address of it is wrong or busy says nothing of the others, and costs no time."""
    patient = Patient(hosts)
    hosts.wrong[ALIVE] = answer
    for _ in range(PATIENCE + 2):
        post(patient, hosts, ALIVE)
    assert hosts.calls[ALIVE] == PATIENCE + 2
    silent = hosts.wrong[DEAD]
    for wrong in (silent, silent, answer, silent, silent, silent):
        hosts.wrong[DEAD] = wrong
        assert not post(patient, hosts, DEAD).startswith("Not called")


def test_what_was_refused_before_anybody_was_called_says_nothing_of_the_host(hosts: Hosts) -> None:
    """A secret that cannot be read must not have a dead host called again and again."""
    patient, silent = Patient(hosts), hosts.wrong[DEAD]
    for wrong in (silent, silent, RefusedError("secret", "There is none."), silent):
        hosts.wrong[DEAD] = wrong
        post(patient, hosts, DEAD)
    assert post(patient, hosts, DEAD).startswith("Not called")
