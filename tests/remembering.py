"""What is pure and dear is worked out once, where thousands of lives ask for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec
import rfc8785

from gonogo.core import policy
from gonogo.core.bundle import Bundle, digest_of

_accept = policy.accept
_bundles: dict[str, Bundle] = {}


@contextmanager
def checked_bundles() -> Iterator[None]:
    """Check each bundle once; one that is refused is refused anew."""

    def accepted(files: Mapping[str, str]) -> Bundle:
        digest = digest_of(files)
        if digest not in _bundles:
            _bundles[digest] = _accept(files)
        return _bundles[digest]

    with mock.patch.object(policy, "accept", accepted):
        yield


@contextmanager
def canonical_texts() -> Iterator[None]:
    """Write each value as canonical JSON once."""
    dumps = rfc8785.dumps
    texts: dict[bytes, bytes] = {}

    def dumped(value: Any) -> bytes:
        key = msgspec.json.encode(value)
        if key not in texts:
            texts[key] = dumps(value)
        return texts[key]

    with mock.patch.object(rfc8785, "dumps", dumped):
        yield
