"""What is pure and dear is worked out once, where thousands of lives ask for the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec
import rfc8785


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
