"""The engines by name: those that come with gonogo, and those that others add by the entry point `gonogo.engines`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from gonogo.aws.accounts import Clients
from gonogo.core.errors import RefusedError
from gonogo.core.plan import EVENT_ENGINE, UNNAMED_ENGINES
from gonogo.ports import Engine, Observer, Resolver

GROUP = "gonogo.engines"
"""An engine of one's own is an entry point of this group: its name is the engine's, what it loads has `engine` and
`observer`, each taking what makes clients, and may have `offline` (docs/engines.md)."""

OURS = ("ec2", "cloudformation", "stepfunctions", EVENT_ENGINE)
"""The engines that come with gonogo. Nobody else's goes by one of these names."""


def engine(name: str, clients: Clients) -> Engine:
    """Return an engine.

    Raises:
        RefusedError: there is none by that name, or it cannot be loaded.
    """
    if name == "ec2":
        from gonogo.aws.engines.ec2 import Ec2

        return Ec2(clients)
    if name == "cloudformation":
        from gonogo.aws.engines.cloudformation import CloudFormation

        return CloudFormation(clients)
    if name == "stepfunctions":
        from gonogo.aws.engines.stepfunctions import StepFunctions

        return StepFunctions(clients)
    if name == EVENT_ENGINE:
        from gonogo.aws.engines.event import Event

        return Event()
    made: Engine = _plugin(name).engine(clients)
    return made


def observer(name: str, clients: Clients) -> Observer | None:
    """Return the eyes on what an engine made; None where only outside systems can tell.

    Raises:
        RefusedError: there is no engine by that name, or it cannot be loaded.
    """
    if name == "ec2":
        from gonogo.aws.engines.ec2 import Ec2Observer

        return Ec2Observer(clients)
    if name == "cloudformation":
        from gonogo.aws.engines.cloudformation import CloudFormationObserver

        return CloudFormationObserver(clients)
    if name == "stepfunctions":
        from gonogo.aws.engines.stepfunctions import StepFunctionsObserver

        return StepFunctionsObserver(clients)
    if name == EVENT_ENGINE:
        return None
    made: Observer | None = _plugin(name).observer(clients)
    return made


def offline(name: str, clients: Clients) -> Resolver:
    """Return a resolver of somebody else's engine that is to ask nobody: its own for that, or the engine itself.

    Args:
        clients: should refuse to make any.

    Raises:
        RefusedError: there is no engine by that name, or it cannot be loaded.
    """
    plugin = _plugin(name)
    own: Callable[[], Resolver] | None = getattr(plugin, "offline", None)
    return own() if own is not None else engine(name, clients)


@cache
def _plugin(name: str) -> Any:
    from importlib.metadata import entry_points

    found = [] if name in (*OURS, *UNNAMED_ENGINES) else list({*entry_points(group=GROUP, name=name)})
    if not found:
        raise RefusedError("NoSuchEngine", f"there is no engine {name!r}")
    if len(found) > 1:
        packages = ", ".join(sorted(one.dist.name if one.dist else one.value for one in found))
        raise RefusedError("NoSuchEngine", f"the engine {name!r} is there more than once: {packages}")
    try:
        loaded = found[0].load()
    except (ImportError, AttributeError) as error:
        raise RefusedError("NoSuchEngine", f"the engine {name!r} cannot be loaded: {error}") from error
    for part in ("engine", "observer"):
        if not callable(getattr(loaded, part, None)):
            raise RefusedError("NoSuchEngine", f"the engine {name!r} has no {part!r}: {found[0].value}")
    return loaded
