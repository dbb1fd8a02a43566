"""A browser, and the whole of gonogo running on this machine for it to look at."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which what has not happened will not: a hang, not a measurement."""
PHONE: ViewportSize = {"width": 360, "height": 640}


def until(look: Callable[[], Any], what: str) -> Any:
    """Return what `look` returns as soon as it is something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it never came: {what}")


class Running:
    """A running `python -m local up`, used over HTTP alone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=PATIENCE)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def is_up(self) -> bool:
        """Tell whether it answers."""
        try:
            return self._http.get("healthz").is_success
        except httpx.TransportError:
            return False

    def ask(self, **more: Any) -> dict[str, Any]:
        """Ask for a launch, as dev."""
        body = {
            "template": "web-small",
            "reason": "A page for the trade fair.",
            "cost_center": "marketing",
            **more,
        }
        answer = self._http.post("v1/launches", json=body, headers=self._as("dev"))
        assert answer.status_code == 201, answer.text
        launch: dict[str, Any] = answer.json()
        return launch

    def read(self, launch: dict[str, Any]) -> dict[str, Any]:
        """Read a launch as it is now, as dev."""
        answer = self._http.get(f"v1/launches/{launch['id']}", headers=self._as("dev"))
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    def link(self, launch: dict[str, Any], to: str = "lead") -> str:
        """Return the link that somebody is mailed for a launch, once it is there."""

        def look() -> str | None:
            for mail in reversed(self._http.get("_local/mail").json()):
                found = re.search(r"\S+decide#gng_\S+", mail["text"])
                if found and launch["id"] in mail["text"] and f"{to}@" in mail["to"]:
                    return found[0]
            return None

        return str(until(look, f"a mail to {to}"))

    def undecided(self, launch: dict[str, Any]) -> bool:
        """Tell whether nobody has decided anything of a launch, or taken it back."""
        now = self.read(launch)
        return now["state"] == "PENDING_APPROVAL" and not any(gate["decisions"] for gate in now["gates"])

    def use(self, cost_center: str) -> list[dict[str, Any]]:
        """Launch something as ops, who needs nobody's GO, end it, and return what the API says that it cost."""
        ops = self._as("ops")
        body = {"template": "web-small", "reason": "To have run.", "cost_center": cost_center}
        answer = self._http.post("v1/launches", json=body, headers=ops)
        assert answer.status_code == 201, answer.text
        launch = answer.json()
        until(lambda: self.read(launch)["state"] == "RUNNING", "a launch that runs")
        ended = self._http.post(f"v1/launches/{launch['id']}/terminate", json={}, headers=ops)
        assert ended.status_code == 202, ended.text

        def look() -> Any:
            month = self.read(launch)["started_at"][:7]
            query = {"month": month, "cost_center": cost_center}
            return self._http.get("v1/usage/summary", params=query, headers=ops).json()["items"]

        found: list[dict[str, Any]] = until(look, "what it cost")
        return found

    def _as(self, name: str) -> dict[str, str]:
        token = self._http.post("_local/token", json={"person": name}).json()["access_token"]
        return {"Authorization": f"Bearer {token}"}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(name="running", scope="session")
def local_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start `python -m local up` for the session, and end it as Ctrl-C does."""
    port, log = _free_port(), tmp_path_factory.mktemp("local") / "log"
    with log.open("w") as output:
        program = subprocess.Popen(
            [sys.executable, "-m", "local", "up", "--port", str(port), "--aws-port", str(_free_port())],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Running(f"http://127.0.0.1:{port}/")
    try:
        until(lambda: running.is_up() or program.poll() is not None, "local up")
        assert program.poll() is None, log.read_text()
        yield running
    finally:
        running.close()
        if program.poll() is None:
            program.send_signal(signal.SIGINT)
        program.wait(PATIENCE)


def _chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next(
        filter(
            None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"))
        ),
        None,
    )


@pytest.fixture(name="browser", scope="session")
def headless_chromium() -> Iterator[Browser]:
    """Start the Chromium that is installed, or that CHROMIUM names."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=_chromium(),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                # keeps other sites from this machine, and so would hide whether our own headers do
                "--disable-features=LocalNetworkAccessChecks",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture(name="phone")
def page_on_a_phone(browser: Browser) -> Iterator[Page]:
    """Open a page on a small phone, and hold it to errors that a browser only logs."""
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console", lambda message: faults.append(message.text) if "Content Security" in message.text else None
    )
    yield page
    context.close()
    assert faults == []
