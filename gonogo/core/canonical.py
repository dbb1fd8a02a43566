"""One byte string for one value: RFC 8785 JSON and the SHA-256 over it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
import rfc8785

from gonogo.core.errors import Fault, InvalidError


def digest(value: Any) -> str:
    """Return the SHA-256 of the value's RFC 8785 JSON, as 64 lower-case hex digits.

    Structs, decimals (as strings) and times (as RFC 3339) are allowed anywhere.

    Raises:
        InvalidError: a number has no exact form in JSON as RFC 8785 means it (section 3.2.2.3).
    """
    try:
        text = rfc8785.dumps(msgspec.to_builtins(value))
    except rfc8785.CanonicalizationError as error:
        raise InvalidError(Fault("", "canonical", f"has no canonical JSON form: {error}")) from error
    return hashlib.sha256(text).hexdigest()


def fingerprint(*parts: str | bytes) -> bytes:
    """Return the SHA-256 of the parts, each length-prefixed so that no two lists of parts collide."""
    state = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "big") + raw)
    return state.digest()


def name(prefix: str, *parts: str | bytes) -> str:
    """Return the one id of what these parts name: 160 bits of their fingerprint, in lower-case base32."""
    return f"{prefix}-" + base64.b32encode(fingerprint(*parts)[:20]).decode().lower()
