"""A world behind a real HTTP server, for programs that know nothing of it but its address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import app
from local import server
from tests.functions.matrix import FILES, Stage
from tests.functions.policy import person
from tests.functions.world import World, world

EVERYTHING = person("everything", "developers", "leads", "finance", "operators")


class House:
    """A world, where it is reached, and the stage that makes launches in it."""

    def __init__(self, made: World, url: str) -> None:
        self.world, self.url = made, url
        self.stage = Stage(made)


@contextmanager
def served() -> Iterator[House]:
    """Serve a world with a person who may do everything, on this machine."""
    files = {**FILES, "people.toml": FILES["people.toml"] + EVERYTHING}
    with world(files) as made:
        made.gonogo.now = made.clock.ticking
        serving = server.serve(app.app, 0, cast("Any", None), lambda: made.around("api"))
        http = cast("Any", serving).server
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield House(made, f"http://127.0.0.1:{http.server_address[1]}")
        finally:
            http.shutdown()
            http.server_close()
            thread.join()
