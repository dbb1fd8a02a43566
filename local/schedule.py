"""Plays the rules that fire by the clock: every so often of real time, and at once when the clock jumped."""

import logging
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local.aws import ACCOUNT, REGION
from local.stack import Schedule

log = logging.getLogger(__name__)

ALARMS_IN_A_JUMP = 3
"""An item has one alarm at a time, the earliest; a long jump passes several, each firing finds the next."""


class Ticker:
    """Fires one schedule."""

    def __init__(
        self,
        schedule: Schedule,
        handler: Callable[[Any], Any],
        now: Callable[[], datetime],
        every: timedelta | None = None,
    ) -> None:
        """Take the schedule, its function, the clock, and another interval for whoever cannot wait."""
        self._schedule = schedule
        self._handler = handler
        self._now = now
        self._every = every or schedule.every
        self._one_at_a_time = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{schedule.function} (schedule)", daemon=True)

    def start(self) -> None:
        """Start the thread; the first firing comes after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """End after the firing that is running; wait for that a few seconds at most."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def jumped(self) -> None:
        """Fire at once, and return when the function has done what the new time asks for."""
        for _ in range(ALARMS_IN_A_JUMP):
            self.fire()

    def fire(self) -> None:
        """Call the function once, now; what it raises is logged, as the next firing finds the same alarms."""
        with self._one_at_a_time:
            try:
                self._handler(self._event())
            except Exception:
                log.exception("%s failed, and is fired again later", self._schedule.function)

    def _event(self) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [self._schedule.rule],
            "detail": {},
        }

    def _run(self) -> None:
        while not self._stopping.wait(self._every.total_seconds()):
            self.fire()
