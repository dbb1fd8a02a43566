"""Every error that gonogo raises by name; `functions/problem.py` maps them to HTTP.

GonogoError
├── InvalidError                 what came in breaks a rule; names each field and rule
│   ├── TooLargeError            the body is over the limit
│   └── BundleRefusedError       a policy bundle breaks a rule
├── NotAuthenticatedError        no proof of who is asking
├── NotPermittedError            known, but may not
│   ├── SelfApprovalError        asked for it, or changed it, so may not decide it
│   ├── UnreviewedError          broke the glass before, and that is not reviewed yet
│   └── NotEligibleError         not among those who may decide this gate
├── NotFoundError                no such thing, or none that the caller may know of
│   └── TokenInvalidError        one answer, whatever is wrong with an approval token
├── ConflictError                the thing is not in a state that allows it
│   ├── TransitionNotAllowedError
│   ├── StaleDigestError         what was read is not what waits now
│   ├── StalePriceError          the price that was approved no longer holds
│   ├── GateNotOpenError
│   ├── AlreadyDecidedError      the same actor has decided otherwise
│   ├── TooManyNotesError        a hook has left as many notes as it may
│   └── KeyReusedError           an Idempotency-Key came back with another body
├── TooManyError                 more than a limit lets one do; nothing was changed, and when to try again
├── BusyError                    others kept changing the item; nothing was changed, try again
├── PolicyMissingError           no bundle: nothing is permitted
├── EdgeError                    something outside did not do its part
│   ├── RefusedError             it said no, and would again
│   │   ├── FullError            there is no capacity for it: another choice may do
│   │   ├── GoneError            there is none by that id: it has ended long ago, or is too new to be seen
│   │   └── PartialError         it said no after some of it was made
│   └── LaterError               unknown or passing: repeat the very same call
│       ├── SilentError          no answer came, or no connection could be had
│       ├── MakingError          it is being made: look again in a minute
│       └── IssuerUnavailableError  the identity issuer's keys cannot be read
└── StoreError
    ├── ItemExistsError          another write made this item first
    └── VersionConflictError     another write changed this item first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One broken rule: `pointer` is an RFC 6901 JSON pointer, or `file` or `file:line` in a bundle."""

    pointer: str
    rule: str
    detail: str

    def __str__(self) -> str:
        """Read as one line."""
        return f"{self.pointer or '/'}: {self.detail}"


class GonogoError(Exception):
    """The root; `str()` is a sentence that may be shown to whoever asked."""


class InvalidError(GonogoError):
    """What came in breaks one or more rules; nothing was changed."""

    def __init__(self, *faults: Fault) -> None:
        """Keep the faults, at least one."""
        self.faults = faults
        super().__init__("; ".join(str(fault) for fault in faults))


class TooLargeError(InvalidError):
    """The body has more bytes than are read."""


class BundleRefusedError(InvalidError):
    """A policy bundle breaks a rule, so it can decide nothing."""


class NotAuthenticatedError(GonogoError):
    """There is no proof of who is asking."""


class NotPermittedError(GonogoError):
    """Policy does not permit it; the message says why."""


class SelfApprovalError(NotPermittedError):
    """Whoever asked, is asked for, has changed it, or owns a service that did, never decides."""

    def __init__(self) -> None:
        """Say the rule."""
        super().__init__(
            "You asked for this launch, changed it, or it is asked for you: somebody else must decide."
        )


class UnreviewedError(NotPermittedError):
    """Whoever broke the glass, and was not reviewed yet, may not break it again."""

    def __init__(self, launch: str) -> None:
        """Name the launch that is to be reviewed first."""
        self.launch = launch
        super().__init__(f"Your last break-glass launch, {launch}, is not reviewed yet: that comes first.")


class NotEligibleError(NotPermittedError):
    """The actor is not among those who may decide the gate."""

    def __init__(self, gate: str) -> None:
        """Name the gate."""
        self.gate = gate
        super().__init__(f"You are not among those who may decide the gate {gate!r}.")


class NotFoundError(GonogoError):
    """There is no such thing."""


class TokenInvalidError(NotFoundError):
    """An approval token that does not verify; deliberately without any particulars."""

    def __init__(self) -> None:
        """Say the same of each."""
        super().__init__("This code is not valid, or is valid no longer. Nothing was changed.")


class ConflictError(GonogoError):
    """The state of the thing does not allow it; nothing was changed."""


class TransitionNotAllowedError(ConflictError):
    """The command is not allowed in this state."""

    def __init__(self, command: str, state: str) -> None:
        """Keep both, for whoever reads the log."""
        self.command, self.state = command, state
        super().__init__(f"Cannot {command} a launch that is {state}.")


class StaleDigestError(ConflictError):
    """The digest decided on is not the digest that waits."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("The launch is not the one you were shown. Read it again, then decide.")


class StalePriceError(ConflictError):
    """The price that was approved no longer holds."""

    def __init__(self, approved: str, now: str) -> None:
        """Say both, per hour."""
        super().__init__(f"Approved at {approved} an hour, it would now cost {now}. Submit it anew.")


class GateNotOpenError(ConflictError):
    """The gate is not open for decisions."""

    def __init__(self, gate: str, state: str) -> None:
        """Name the gate and what became of it."""
        self.gate, self.state = gate, state
        super().__init__(f"The gate {gate!r} is not open: it is {state}.")


class AlreadyDecidedError(ConflictError):
    """The same actor has decided this gate the other way."""

    def __init__(self, gate: str, verdict: str) -> None:
        """Name the gate and the verdict that stands."""
        super().__init__(
            f"You have decided the gate {gate!r} already: {verdict}. While it waits, you may revoke that."
        )


class TooManyNotesError(ConflictError):
    """A hook has left as many progress notes on the gate as it may."""

    def __init__(self, gate: str, most: int) -> None:
        """Name the gate and the limit."""
        super().__init__(f"The gate {gate!r} has {most} notes already, which is the most it may have.")


class KeyReusedError(ConflictError):
    """An Idempotency-Key came back with another body."""

    def __init__(self) -> None:
        """Say the rule."""
        super().__init__("This Idempotency-Key was used with another body. Use a new key.")


class TooManyError(GonogoError):
    """More than a limit lets one do. `limit` names it; `quota` is how many it allows in a `window`, in seconds."""

    def __init__(self, limit: str, quota: int, window: int, retry_after: int) -> None:
        """Keep the limit, and after how many seconds it allows one more."""
        self.limit, self.quota, self.window = limit, quota, window
        self.retry_after = retry_after
        super().__init__(f"Too many {limit}: at most {quota} in {window} s. Try again in {retry_after} s.")


class BusyError(GonogoError):
    """Others kept changing the item while we tried; nothing was changed."""


class PolicyMissingError(GonogoError):
    """There is no policy bundle, so nothing is permitted."""

    def __init__(self, detail: str = "No policy bundle is published, so nothing is permitted.") -> None:
        """Say what is missing."""
        super().__init__(detail)


class EdgeError(GonogoError):
    """Something outside did not do its part."""


class RefusedError(EdgeError):
    """It said no in its own words, and would say so again."""

    def __init__(self, code: str, message: str) -> None:
        """Keep its own words: a short code and a sentence."""
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")


class FullError(RefusedError):
    """There is no capacity for just this; nothing was made."""


class GoneError(RefusedError):
    """There is none by that id: it has ended long ago, or is so new that it cannot be seen yet."""


class PartialError(RefusedError):
    """It said no after some of it was made."""

    def __init__(self, code: str, message: str, made: Sequence[str], *, full: bool = False) -> None:
        """Keep the ids of what was made, and whether it was for want of capacity that the rest was not."""
        self.made, self.full = tuple(made), full
        super().__init__(code, message)


class LaterError(EdgeError):
    """Unknown or passing. What was asked may have happened: repeat the very same call, never a new one."""

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        """Keep why, and the seconds to wait where the other side named them."""
        self.retry_after = retry_after
        super().__init__(detail)


class SilentError(LaterError):
    """No answer came, or no connection could be had."""


class MakingError(LaterError):
    """What was asked for is being made, which takes its time: repeat the very same call in a minute.

    Where it is `told`, nobody need ask: whoever makes it says so when it is made.
    """

    def __init__(self, detail: str, *, told: bool = False) -> None:
        """Keep why, and whether it will be told."""
        self.told = told
        super().__init__(detail)


class IssuerUnavailableError(LaterError):
    """The identity issuer's keys cannot be read now."""


class StoreError(GonogoError):
    """A conditional write did not hold; nothing was written."""


class ItemExistsError(StoreError):
    """Another write made this item first."""


class VersionConflictError(StoreError):
    """Another write changed this item first."""
