"""The error tree: what the docstring draws is what there is."""

from __future__ import annotations

import inspect
import re

from gonogo.core import errors
from gonogo.core.errors import Fault, GonogoError, InvalidError, TokenInvalidError


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
