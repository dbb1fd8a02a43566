"""Lets one call to the outside go wrong, or one message come twice, and keeps count of what could."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

import msgspec

from gonogo import ports
from gonogo.core.errors import LaterError
from gonogo.core.item import Item
from tests import memory


class Crash(BaseException):
    """The process ends here; whatever called it hears nothing."""


class Wrong(StrEnum):
    """How something goes wrong."""

    TIMEOUT_BEFORE = "no answer, and nothing was done"
    TIMEOUT_AFTER = "no answer, but it was done"
    CRASH_BEFORE = "the process ends before the call"
    CRASH_AFTER = "the process ends after the call"
    REPEATED = "it was done, the answer was lost, and the client repeated the call by itself"
    TWICE = "the message comes twice, one after the other"
    LATE = "the message comes once more when all is over"


CHANGES = frozenset(
    {"items.add", "items.save", "bus.publish", "dead_letters.put", "mailer.send", "caller.post"}
) | {f"engine.{one}" for one in ("launch", "stop", "start", "terminate")}
"""Calls that change something outside."""

READS = frozenset(
    {f"items.{one}" for one in ("get", "get_many", "feed", "in_state", "due", "put_aside")}
    | {
        "macs.make",
        "macs.verify",
        "secrets.read",
        "identity.verify",
        "resolver.resolve",
        "observer.look",
        "observer.survey",
        "engine.find",
    }
)
"""Calls that change nothing: that such a call was done, and its answer lost, is as if it was never made."""

OF_A_CHANGE = (
    Wrong.TIMEOUT_BEFORE,
    Wrong.TIMEOUT_AFTER,
    Wrong.CRASH_BEFORE,
    Wrong.CRASH_AFTER,
    Wrong.REPEATED,
)
OF_A_READ = (Wrong.TIMEOUT_BEFORE, Wrong.CRASH_BEFORE)
OF_A_MESSAGE = (Wrong.TWICE, Wrong.LATE)


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong: with the nth call, or the nth message, of a run."""

    wrong: Wrong
    at: int


class Faults:
    """Counts calls and messages of one run, and makes one of them go wrong."""

    def __init__(self, *faults: Fault) -> None:
        """Make these happen; none, and it only counts."""
        self.calls: list[str] = []
        self.messages: list[str] = []
        self._handled: list[tuple[str, int]] = []
        self._times: Counter[str] = Counter()
        self.struck: list[str] = []
        self.is_unhandled = False
        self._raised: LaterError | None = None
        self.listening = False
        self._of_calls = {one.at: one.wrong for one in faults if one.wrong not in OF_A_MESSAGE}
        self._of_messages = {one.at: one.wrong for one in faults if one.wrong in OF_A_MESSAGE}

    def points(self) -> list[Fault]:
        """Return every fault that the run had room for.

        That a process ends after a call and that it ends before its next one leave the same behind, and are one.

        Raises:
            KeyError: a call is known neither as a read nor as a change.
        """
        found = []
        for at, name in enumerate(self.calls):
            call = name.partition(" ")[0]
            if call not in CHANGES | READS:
                raise KeyError(name)
            wrongs = OF_A_CHANGE if call in CHANGES else OF_A_READ
            found += [
                Fault(wrong, at)
                for wrong in wrongs
                if wrong is not Wrong.CRASH_AFTER or not self._goes_on(at)
            ]
        return found + [Fault(wrong, at) for at in range(len(self.messages)) for wrong in OF_A_MESSAGE]

    def crash_like(self, fault: Fault) -> Fault | None:
        """Return the crash that leaves the same behind as a silence, where nothing handles that."""
        if fault.wrong is Wrong.TIMEOUT_BEFORE:
            return Fault(Wrong.CRASH_BEFORE, fault.at)
        if fault.wrong is Wrong.TIMEOUT_AFTER:
            goes_on = self._goes_on(fault.at)
            return Fault(Wrong.CRASH_BEFORE, fault.at + 1) if goes_on else Fault(Wrong.CRASH_AFTER, fault.at)
        return None

    def _goes_on(self, at: int) -> bool:
        """Tell whether what made the nth call makes another one after it."""
        return at + 1 < len(self.calls) and self._handled[at + 1] == self._handled[at]

    def _silence(self, wrong: Wrong) -> LaterError:
        self._raised = LaterError(wrong)
        return self._raised

    def ended_by(self, error: BaseException) -> None:
        """Note what a function ended by: a silence that nothing in it handled leaves what a crash there leaves."""
        self.is_unhandled = self.is_unhandled or error is self._raised

    def message(self, name: str) -> Wrong | None:
        """Note that a message is handled; return whether it is to come again."""
        self.messages.append(name)
        self._times[name] += 1
        wrong = self._of_messages.get(len(self.messages) - 1)
        if wrong is not None:
            self.struck.append(f"{name}: {wrong}")
        return wrong

    def call(self, name: str, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, or what goes wrong in its place."""
        if not self.listening:
            return operation(*arguments, **options)
        self.calls.append(name)
        message = self.messages[-1] if self.messages else ""
        self._handled.append((message, self._times[message]))
        wrong = self._of_calls.get(len(self.calls) - 1)
        if wrong is None:
            return operation(*arguments, **options)
        self.struck.append(f"{name}: {wrong}")
        if wrong is Wrong.TIMEOUT_BEFORE:
            raise self._silence(wrong)
        if wrong is Wrong.CRASH_BEFORE:
            raise Crash(wrong)
        answer = operation(*arguments, **options)
        if wrong is Wrong.TIMEOUT_AFTER:
            raise self._silence(wrong)
        if wrong is Wrong.CRASH_AFTER:
            raise Crash(wrong)
        return operation(*arguments, **options) if wrong is Wrong.REPEATED else answer


class Port:
    """A port whose calls go through `Faults`."""

    def __init__(self, name: str, inner: Any, faults: Faults) -> None:
        self._name, self._inner, self._faults = name, inner, faults

    def __getattr__(self, operation: str) -> Any:
        inner = getattr(self._inner, operation)

        def call(*arguments: Any, **options: Any) -> Any:
            about = next((_kind(one) for one in arguments if _kind(one)), "")
            name = f"{self._name}.{operation} {about}".strip()
            return self._faults.call(name, inner, *arguments, **options)

        return call


def _kind(argument: Any) -> str:
    if isinstance(argument, Item) or (isinstance(argument, type) and issubclass(argument, Item)):
        return argument.kind
    return ""


class Outside(memory.Outside):
    """Everything outside, each call of which may go wrong."""

    def __init__(self, files: Mapping[str, str], faults: Faults) -> None:
        self.faults = faults
        super().__init__(files)

    @cached_property
    def items(self) -> ports.Items:  # type: ignore[override]
        """The table."""
        return cast("ports.Items", Port("items", self.table, self.faults))

    @cached_property
    def bus(self) -> ports.Bus:  # type: ignore[override]
        """The event bus."""
        return cast("ports.Bus", Port("bus", self.sent_on, self.faults))

    @cached_property
    def dead_letters(self) -> ports.DeadLetters:  # type: ignore[override]
        """Where poison is put aside."""
        return cast("ports.DeadLetters", Port("dead_letters", self.dead, self.faults))

    @cached_property
    def mailer(self) -> ports.Mailer:  # type: ignore[override]
        """The mail service."""
        return cast("ports.Mailer", Port("mailer", self.mailed, self.faults))

    @cached_property
    def macs(self) -> ports.Macs:  # type: ignore[override]
        """The keys of approval tokens."""
        return cast("ports.Macs", Port("macs", self.keys, self.faults))

    @cached_property
    def secrets(self) -> ports.Secrets:  # type: ignore[override]
        """The signing secrets of webhooks."""
        return cast("ports.Secrets", Port("secrets", self.safe, self.faults))

    @cached_property
    def caller(self) -> ports.Caller:
        """The way out to webhooks."""
        return cast("ports.Caller", Port("caller", super().caller, self.faults))

    @cached_property
    def identity(self) -> ports.Identity:  # type: ignore[override]
        """The verifier of bearer tokens."""
        return cast("ports.Identity", Port("identity", memory.Identity(), self.faults))

    def resolver(self, engine: str) -> ports.Resolver:
        """Return the resolver of an engine."""
        return cast("ports.Resolver", Port("resolver", super().resolver(engine), self.faults))

    def observer(self, engine: str) -> ports.Observer | None:
        """Return the eyes on what an engine made."""
        eyes = super().observer(engine)
        return None if eyes is None else cast("ports.Observer", Port("observer", eyes, self.faults))

    def engine(self, engine: str) -> ports.Engine:
        """Return an engine."""
        return cast("ports.Engine", Port("engine", super().engine(engine), self.faults))
