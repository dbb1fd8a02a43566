"""Every minute: what time asks for."""

from __future__ import annotations

from gonogo.bootstrap import gonogo
from gonogo.service import wake


def handle() -> None:
    """Tick all that is due."""
    wake.wake(gonogo())
