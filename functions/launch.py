"""Launch cleared, or change requested: the engine."""

from __future__ import annotations

from typing import Any

from functions import messages
from gonogo.bootstrap import gonogo
from gonogo.service import launch


def handle(event: dict[str, Any]) -> dict[str, Any]:
    """Launch, or change, what a batch of messages names."""
    return messages.each(event, lambda message: launch.launch(gonogo(), messages.cue(message).subject))
