"""Read a JSON body strictly: one meaning or none (RFC 8259 leaves more open than an approval can bear)."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from gonogo.core.errors import Fault, GonogoError, InvalidError, TooLargeError

LARGEST = 256 * 1024
DEEPEST = 32
JSON = "application/json"
T = TypeVar("T")


class MediaTypeError(GonogoError):
    """The body is not sent as JSON."""


def check_type(sent: str | None) -> None:
    """Take one media type for JSON, or none at all; Chalice takes lists too, and `*/*`.

    Raises:
        MediaTypeError: it is another (RFC 9110, 8.3: a Content-Type is a single one).
    """
    if sent is not None and sent.partition(";")[0].strip().lower() != JSON:
        raise MediaTypeError(f"Send {JSON}.")


def decode(raw: bytes, kind: type[T], largest: int = LARGEST) -> T:
    """Return the body as a value of this type.

    Raises:
        TooLargeError: it has more than `largest` bytes.
        InvalidError: it is not UTF-8 JSON, has a key twice, a number that is none, is nested deeper than
            `DEEPEST`, or is not of the type.
    """
    if len(raw) > largest:
        raise TooLargeError(Fault("", "size", f"the body has {len(raw)} bytes; {largest} at most"))
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise _bad("depth", f"is nested deeper than {DEEPEST}") from None
    except ValueError as error:
        raise _bad("json", f"is not strict JSON: {error}") from None
    _walk(value, DEEPEST)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidError(_fault(str(error))) from None


def _bad(rule: str, detail: str) -> InvalidError:
    return InvalidError(Fault("", rule, detail))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float | int:
    """Return the number; one that is whole is an integer however it is written (RFC 8785, 3.2.2.3)."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond all numbers")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _walk(value: Any, depth: int) -> None:
    """Refuse what is nested too deep, and text that is no Unicode (a lone surrogate)."""
    if isinstance(value, dict | list) and depth == 0:
        raise _bad("depth", f"is nested deeper than {DEEPEST}")
    if isinstance(value, str):
        if not _is_unicode(value):
            raise _bad("unicode", "has half a surrogate pair in a text")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _walk(key, depth)
            _walk(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner, depth - 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_AT = re.compile(r"^(?P<detail>.*?)(?: - at (?P<key>`key` in )?`(?P<path>\$[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"(?P<rule>missing required|contains unknown) field `(?P<name>.*)`")


def _fault(message: str) -> Fault:
    """Turn msgspec's message into a fault: `Expected ... - at `$.a[0].b`` is /a/0/b; of a key it is where it stands."""
    match = _AT.match(message)
    detail, path = (match["detail"], match["path"]) if match else (message, None)
    pointer = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", path or "$").removeprefix("$").replace(".", "/")
    field = _FIELD.search(detail)
    if field:
        pointer += "/" + field["name"].replace("~", "~0").replace("/", "~1")
        detail = "is missing" if field["rule"].startswith("missing") else "is not a field of this"
        return Fault(pointer, "required" if detail == "is missing" else "unknown", detail)
    whose = "a key of it: " if match and match["key"] else ""
    return Fault(pointer, "shape", whose + detail[:1].lower() + detail[1:])
