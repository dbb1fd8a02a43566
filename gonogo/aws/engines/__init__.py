"""The engines by name: those that come with gonogo, and those that others add by the entry point `gonogo.engines`."""

from __future__ import annotations

from functools import cache
from typing import Any

from gonogo.aws.accounts import Clients
from gonogo.core.errors import RefusedError
from gonogo.core.plan import EVENT_ENGINE
from gonogo.ports import Engine, Observer

GROUP = "gonogo.engines"
"""An engine of one's own is an entry point of this group: its name is the engine's, what it loads has `engine` and
`observer`, each taking what makes clients (docs/engines.md)."""


def engine(name: str, clients: Clients) -> Engine:
    """Return an engine.

    Raises:
        RefusedError: there is none by that name.
    """
    if name == "ec2":
        from gonogo.aws.engines.ec2 import Ec2

        return Ec2(clients)
    if name == EVENT_ENGINE:
        from gonogo.aws.engines.event import Event

        return Event()
    made: Engine = _plugin(name).engine(clients)
    return made


def observer(name: str, clients: Clients) -> Observer | None:
    """Return the eyes on what an engine made; None where only outside systems can tell.

    Raises:
        RefusedError: there is no engine by that name.
    """
    if name == "ec2":
        from gonogo.aws.engines.ec2 import Ec2Observer

        return Ec2Observer(clients)
    if name == EVENT_ENGINE:
        return None
    made: Observer | None = _plugin(name).observer(clients)
    return made


@cache
def _plugin(name: str) -> Any:
    from importlib.metadata import entry_points

    for found in entry_points(group=GROUP, name=name):
        return found.load()
    raise RefusedError("NoSuchEngine", f"there is no engine {name!r}")
