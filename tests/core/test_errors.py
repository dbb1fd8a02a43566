"""The error tree: what the docstring draws is what there is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import pytest

from gonogo.core import errors
from gonogo.core.errors import (
    AlreadyDecidedError,
    Fault,
    FullError,
    GateNotOpenError,
    GonogoError,
    InvalidError,
    IssuerUnavailableError,
    KeyReusedError,
    LaterError,
    MakingError,
    NotEligibleError,
    PartialError,
    PolicyMissingError,
    SelfApprovalError,
    StaleDigestError,
    StalePriceError,
    TokenInvalidError,
    TooManyError,
    TooManyNotesError,
    TransitionNotAllowedError,
    UnreviewedError,
)

SENTENCES: list[tuple[Callable[..., GonogoError], tuple[object, ...], str]] = [
    (InvalidError, (), ""),
    (
        SelfApprovalError,
        (),
        "You asked for this launch, changed it, or it is asked for you: somebody else must decide.",
    ),
    (
        UnreviewedError,
        ("l-1",),
        "Your last break-glass launch, l-1, is not reviewed yet: that comes first.",
    ),
    (NotEligibleError, ("lead",), "You are not among those who may decide the gate 'lead'."),
    (TokenInvalidError, (), "This code is not valid, or is valid no longer. Nothing was changed."),
    (TransitionNotAllowedError, ("cancel", "RUNNING"), "Cannot cancel a launch that is RUNNING."),
    (StaleDigestError, (), "The launch is not the one you were shown. Read it again, then decide."),
    (
        StalePriceError,
        ("1 USD", "2 USD"),
        "Approved at 1 USD an hour, it would now cost 2 USD. Submit it anew.",
    ),
    (GateNotOpenError, ("lead", "GO"), "The gate 'lead' is not open: it is GO."),
    (
        AlreadyDecidedError,
        ("lead", "reject"),
        "You have decided the gate 'lead' already: reject. While it waits, you may revoke that.",
    ),
    (
        TooManyNotesError,
        ("scan", 10),
        "The gate 'scan' has 10 notes already, which is the most it may have.",
    ),
    (KeyReusedError, (), "This Idempotency-Key was used with another body. Use a new key."),
    (
        TooManyError,
        ("requests", 600, 60, 7),
        "Too many requests: at most 600 in 60 s. Try again in 7 s.",
    ),
    (PolicyMissingError, (), "No policy bundle is published, so nothing is permitted."),
    (PolicyMissingError, ("None here.",), "None here."),
    (FullError, ("Capacity", "None left."), "Capacity: None left."),
    (PartialError, ("Capacity", "None left.", ["i-1"]), "Capacity: None left."),
    (LaterError, ("Not now.",), "Not now."),
    (IssuerUnavailableError, ("Not now.", 5), "Not now."),
    (MakingError, ("It is being made.",), "It is being made."),
]


def drawn() -> dict[str, str | None]:
    """Return each error of the docstring's tree with the one that it hangs on."""
    above: dict[int, str] = {}
    found: dict[str, str | None] = {}
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        match = re.match(r"(?P<branch>[\s│├└─]*)(?P<name>\w+Error)\b", line)
        if match:
            depth = len(match["branch"]) // 4
            above[depth] = match["name"]
            found[match["name"]] = above.get(depth - 1)
    root = next(iter(found))
    return {name: None if name == root else parent for name, parent in found.items()}


def test_tree_is_drawn_as_it_is():
    """A reader of the docstring must see every error, each under the one that catches it."""
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, GonogoError)
    }
    real = {name: None if kind is GonogoError else kind.__mro__[1].__name__ for name, kind in classes.items()}
    assert drawn() == real


def test_every_error_is_one_sentence_of_documentation():
    """Whoever handles an error reads in its docstring what is broken."""
    assert all(kind.__doc__ for kind in vars(errors).values() if inspect.isclass(kind))


def test_faults_are_all_told():
    """Somebody who mends a request or a bundle wants all faults at once, each with its place."""
    error = InvalidError(Fault("/lease", "duration", "is no length"), Fault("", "body", "is empty"))
    assert str(error) == "/lease: is no length; /: is empty"
    assert [one.rule for one in error.faults] == ["duration", "body"]


def test_invalid_token_says_nothing_of_why():
    """What is wrong with a token would teach a forger, so the error takes no particulars at all."""
    assert not inspect.signature(TokenInvalidError).parameters
    assert str(TokenInvalidError()) == str(TokenInvalidError())


@pytest.mark.parametrize(("error", "facts", "says"), SENTENCES)
def test_each_error_says_what_is_broken_and_what_to_do(
    error: Callable[..., GonogoError], facts: tuple[object, ...], says: str
):
    """Its sentence is all that whoever asked gets to read."""
    assert str(error(*facts)) == says


def test_what_an_error_keeps_for_whoever_handles_it():
    """What is done next hangs on these: what to take back, whether another choice may do, when to try again."""
    part = PartialError("Capacity", "None left.", ["i-1", "i-2"])
    assert (part.code, part.message, part.made, part.full) == (
        "Capacity",
        "None left.",
        ("i-1", "i-2"),
        False,
    )
    assert PartialError("Capacity", "None left.", [], full=True).full is True
    assert (LaterError("Not now.").retry_after, LaterError("Not now.", 5).retry_after) == (None, 5)
    assert MakingError("It is being made.").retry_after is None
    assert MakingError("It is being made.").told is False
    assert MakingError("It is being made.", told=True).told is True
    assert (UnreviewedError("l-1").launch, NotEligibleError("lead").gate) == ("l-1", "lead")
    many = TooManyError("requests", 600, 60, 7)
    assert (many.limit, many.quota, many.window, many.retry_after) == ("requests", 600, 60, 7)
