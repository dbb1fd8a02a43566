"""Every minute: what time asks for."""

from __future__ import annotations

import logging

from gonogo.bootstrap import gonogo
from gonogo.service import wake

log = logging.getLogger("gonogo")


def handle() -> None:
    """Tick all that is due."""
    count = wake.wake(gonogo())
    if count:
        log.info("woke %d items", count)
