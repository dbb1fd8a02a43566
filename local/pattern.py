"""Which events an EventBridge pattern lets through.

The rules are those of the EventBridge user guide, "Creating event patterns" and "Comparison operators":
every key of a pattern must match (and), a list holds alternatives (or), `$or` holds alternative patterns. An
array in the event matches when one of its elements does, and a pattern over an array of objects must be met
within one of them. `exists` asks about leaves: a field that holds an object or an empty array does not exist.
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Test = Callable[[Any], bool]

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class PatternError(ValueError):
    """A pattern that EventBridge would refuse; the text says what is wrong with it."""


def check(pattern: object) -> None:
    """Raise PatternError unless `pattern`, as parsed from JSON, is one that EventBridge accepts."""
    if not isinstance(pattern, dict) or not pattern:
        message = "a pattern is a JSON object with at least one key"
        raise PatternError(message)
    for key, wanted in pattern.items():
        if key == "$or":
            if not isinstance(wanted, list) or not wanted:
                message = '"$or" takes a list of patterns'
                raise PatternError(message)
            for alternative in wanted:
                check(alternative)
        elif isinstance(wanted, dict):
            check(wanted)
        elif not isinstance(wanted, list) or not wanted:
            message = f'"{key}" must be an object or a non-empty array'
            raise PatternError(message)
        else:
            for alternative in wanted:
                _alternative(alternative)


def matches(pattern: Mapping[str, Any], event: object) -> bool:
    """Tell whether `event` meets `pattern`; raises PatternError as `check` does."""
    return any(
        all(_meets(candidate, key, wanted) for key, wanted in pattern.items())
        for candidate in _objects(event)
    )


def _meets(candidate: Mapping[str, Any], key: str, wanted: Any) -> bool:
    if key == "$or":
        return any(matches(alternative, candidate) for alternative in wanted)
    if isinstance(wanted, dict):
        return matches(wanted, candidate.get(key))
    leaves = list(_leaves(candidate[key])) if key in candidate else []
    return any(_alternative(alternative)(leaves) for alternative in wanted)


def _objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects to match against; where there is none an empty one, for `exists: false`."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [found for element in value for found in _objects(element) if found] or [{}]
    return [{}]


def _leaves(value: object) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _leaves(element)
    elif not isinstance(value, dict):
        yield value


def _alternative(wanted: Any) -> Callable[[Sequence[Any]], bool]:
    """Return the test of one alternative over all leaves of a field."""
    if not isinstance(wanted, dict):
        _scalar(wanted)
        return lambda leaves: any(_same(wanted, leaf) for leaf in leaves)
    if len(wanted) != 1:
        message = f"a comparison has exactly one operator, not {sorted(wanted)}"
        raise PatternError(message)
    ((name, argument),) = wanted.items()
    if name == "exists":
        if not isinstance(argument, bool):
            message = '"exists" takes true or false'
            raise PatternError(message)
        return lambda leaves: bool(leaves) is argument
    if name not in OPERATORS:
        message = f'"{name}" is not a comparison operator'
        raise PatternError(message)
    test = OPERATORS[name](argument)
    return lambda leaves: any(test(leaf) for leaf in leaves)


def _same(wanted: object, leaf: object) -> bool:
    """Compare two JSON scalars; true is not 1, but 300 is 300.0, for EventBridge."""
    if isinstance(wanted, bool) or isinstance(leaf, bool):
        return wanted is leaf
    return wanted == leaf


def _scalar(value: object) -> None:
    if not (value is None or isinstance(value, str | int | float)):
        message = f"{value!r} is not a string, number, true, false or null"
        raise PatternError(message)


def _text(name: str, argument: object) -> str:
    if not isinstance(argument, str):
        message = f'"{name}" takes a string'
        raise PatternError(message)
    return argument


def _affix(name: str, method: Callable[[str, str], bool]) -> Callable[[Any], Test]:
    def operator_of(argument: Any) -> Test:
        if isinstance(argument, dict) and list(argument) == ["equals-ignore-case"]:
            folded = _text(name, argument["equals-ignore-case"]).lower()
            return lambda leaf: isinstance(leaf, str) and method(leaf.lower(), folded)
        affix = _text(name, argument)
        return lambda leaf: isinstance(leaf, str) and method(leaf, affix)

    return operator_of


def _equals_ignore_case(argument: Any) -> Test:
    folded = _text("equals-ignore-case", argument).lower()
    return lambda leaf: isinstance(leaf, str) and leaf.lower() == folded


def _wildcard(argument: Any) -> Test:
    r"""Read `*` as any characters, and `\*` and `\\` as `*` and `\`."""
    parts = re.findall(r"\\[*\\]|\*|[^*]", _text("wildcard", argument), re.DOTALL)
    expression = "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)
    compiled = re.compile(expression, re.DOTALL)
    return lambda leaf: isinstance(leaf, str) and compiled.fullmatch(leaf) is not None


def _numeric(argument: Any) -> Test:
    if not isinstance(argument, list) or not argument or len(argument) % 2:
        message = '"numeric" takes pairs of a comparison and a number'
        raise PatternError(message)
    bounds = list(zip(argument[::2], argument[1::2], strict=True))
    for comparison, bound in bounds:
        if comparison not in COMPARISONS or isinstance(bound, bool) or not isinstance(bound, int | float):
            message = f'"numeric" does not know {comparison!r} {bound!r}'
            raise PatternError(message)
    return lambda leaf: (
        isinstance(leaf, int | float)
        and not isinstance(leaf, bool)
        and all(COMPARISONS[comparison](leaf, bound) for comparison, bound in bounds)
    )


def _cidr(argument: Any) -> Test:
    try:
        network = ipaddress.ip_network(_text("cidr", argument), strict=False)
    except ValueError as error:
        message = f'"cidr" takes a network: {error}'
        raise PatternError(message) from error

    def inside(leaf: Any) -> bool:
        try:
            return isinstance(leaf, str) and ipaddress.ip_address(leaf) in network
        except ValueError:
            return False

    return inside


def _anything_but(argument: Any) -> Test:
    if isinstance(argument, dict):
        if len(argument) != 1 or next(iter(argument)) not in BUT:
            message = f'"anything-but" takes one of {", ".join(BUT)}'
            raise PatternError(message)
        ((name, excluded),) = argument.items()
        tests = [OPERATORS[name](one) for one in (excluded if isinstance(excluded, list) else [excluded])]
        return lambda leaf: not any(test(leaf) for test in tests)
    excluded = argument if isinstance(argument, list) else [argument]
    for one in excluded:
        _scalar(one)
    return lambda leaf: not any(_same(one, leaf) for one in excluded)


OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "prefix": _affix("prefix", str.startswith),
    "suffix": _affix("suffix", str.endswith),
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
BUT = ("prefix", "suffix", "equals-ignore-case", "wildcard")
