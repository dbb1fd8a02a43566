"""How many lives many clients get through together, against as many that only make the AWS calls."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

TURNS, ROUNDS = 3, 12


def ratio(clients: int, floor: Callable[[], Any], ours: Callable[[], Any]) -> float:
    """Return our throughput as a part of the floor's, by so many processes at once; they take turns.

    A process each, as each client of a Lambda function has one: threads of one process would measure Python's lock.
    """
    best = [0.0, 0.0]
    for _ in range(TURNS):
        for index, work in enumerate((floor, ours)):
            best[index] = max(best[index], _throughput(clients, work))
    return best[1] / best[0]


def _throughput(clients: int, work: Callable[[], Any]) -> float:
    """Return lives a second."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(clients + 1)

    def client() -> None:
        work()
        ready.wait()
        for _ in range(ROUNDS):
            work()

    processes = [context.Process(target=client) for _ in range(clients)]
    for one in processes:
        one.start()
    ready.wait()
    start = time.perf_counter()
    for one in processes:
        one.join()
    if any(one.exitcode for one in processes):
        raise RuntimeError("a client failed")
    return clients * ROUNDS / (time.perf_counter() - start)
