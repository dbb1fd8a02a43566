"""What the requests that were granted, and no others, would have made of the table: to hold against what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tests import memory
from tests.functions.world import Answer, World, world


class Honest:
    """Keeps each request that a world granted, and can let another world hear those alone."""

    def __init__(self, made: World) -> None:
        """Listen to a world; what it draws by chance depends on nothing but what it granted before."""
        self._world, self._granted = made, [0]
        self._kept: list[tuple[str, str, dict[str, Any]]] = []
        self._call = made.call
        _without_chance(made, self._granted)
        made.call = self._heard  # type: ignore[method-assign]

    def _heard(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        answer = self._call(method, path, body, **more)
        if method != "GET" and answer.code < 300:
            self._kept.append((method, path, {"body": body, **more}))
            self._granted[0] += 1
        return answer

    def __len__(self) -> int:
        """Return how many were granted."""
        return len(self._kept)

    def rows(self, files: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the table of another world that heard these requests alone. The first one must be over."""
        with world(files) as another:
            granted = [0]
            _without_chance(another, granted)
            another.gonogo.identity = self._world.gonogo.identity
            another.clock.time = self._world.clock.time
            for method, path, sent in self._kept:
                answer = another.call(method, path, sent.pop("body"), **sent)
                assert answer.code < 300, (
                    f"{method} {path} was granted, and is not alone: {answer.text[:600]}"
                )
                granted[0] += 1
            return another.rows()


def _without_chance(made: World, granted: list[int]) -> None:
    """Let a world draw by chance what the number of requests that were granted says, and sign alike."""

    def draw(size: int) -> bytes:
        return hashlib.sha512(b"%d" % granted[0]).digest()[:size]

    made.gonogo.random = draw  # type: ignore[method-assign]
    made.gonogo.macs = memory.Macs()
