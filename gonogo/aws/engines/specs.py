"""The spec of a filled template, read as the one of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from gonogo.core.errors import Fault, InvalidError

S = TypeVar("S", bound=msgspec.Struct)


def read(spec: Mapping[str, Any], kind: type[S], engine: str) -> S:
    """Return the spec as its engine has it.

    Raises:
        InvalidError: it is not one of this engine.
    """
    try:
        return msgspec.convert(dict(spec), kind)
    except msgspec.ValidationError as error:
        raise InvalidError(
            Fault("/template", "spec", f"the filled template is no {engine} spec: {error}")
        ) from error
