"""The visitors that open a link in a real browser: Chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urldefrag, urlsplit

from .visitors import WORDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SHORT = 3_000
"""Milliseconds for one thing that may not be possible at all."""
QUIET = 150
"""Milliseconds in which a script that sends something at once has begun to."""
CONTROLS = "a, button, summary, input:not([type=hidden]), textarea, select, label, [onclick], [role=button]"
OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true })"
FREE_ALL = """document.querySelectorAll('form').forEach(one => {
  one.noValidate = true; one.querySelectorAll('*').forEach(o => { o.required = false; o.disabled = false }) })"""


class Tab:
    """A tab of a browser that nobody has used, which goes to the link's own host only and counts what it asks."""

    def __init__(self, page: Page, link: str) -> None:
        self.page, self.link = page, link
        self.did: Counter[str] = Counter()
        self._origin = urlsplit(link)[:2]
        page.set_default_timeout(SHORT)
        page.route("**/*", self._routed)
        page.on("dialog", lambda dialog: dialog.accept())

    def _routed(self, route: Route) -> None:
        if urlsplit(route.request.url)[:2] != self._origin:
            route.abort()
            return
        self.did[route.request.method] += 1
        route.continue_()

    def open(self) -> None:
        """Open the link anew, and let its scripts run."""
        with suppress(Exception):
            self.page.goto("about:blank")
        with suppress(Exception):
            self.page.goto(self.link, timeout=5 * SHORT)
        self.settle()

    def settle(self) -> None:
        """Wait until the page is there, and until what its scripts do at once is done."""
        self.page.wait_for_timeout(QUIET)
        with suppress(Exception):
            self.page.wait_for_load_state(timeout=SHORT)

    def run(self, script: str) -> None:
        """Run a script in the page, if it can be."""
        with suppress(Exception):
            self.page.evaluate(script)


def look(tab: Tab) -> None:
    """Open it, let its scripts run, scroll, and move the mouse about."""
    tab.open()
    for step in range(5):
        tab.page.mouse.move(40 + 60 * step, 40 + 90 * step)
        tab.page.mouse.wheel(0, 300)
    tab.page.wait_for_timeout(10 * QUIET)


def press(tab: Tab) -> None:
    """Open it for each control anew, press that, and then Enter."""
    tab.open()
    for number in range(min(tab.page.locator(CONTROLS).count(), 40)):
        if number:
            tab.open()
        tab.run(OPEN_ALL)
        with suppress(Exception):
            tab.page.locator(CONTROLS).nth(number).click(no_wait_after=True, timeout=SHORT // 3)
        with suppress(Exception):
            tab.page.keyboard.press("Enter")
        tab.settle()


def fill(tab: Tab) -> None:
    """Write into every field what robots write, tick every box, and press Enter and every button."""
    for number, word in enumerate(WORDS[::2]):
        tab.open()
        tab.run(OPEN_ALL)
        for field in tab.page.locator("input:not([type=hidden]), textarea").all():
            with suppress(Exception):
                kind = field.get_attribute("type") or "text"
                field.check(timeout=SHORT // 3) if kind in ("checkbox", "radio") else field.fill(word)
        buttons = tab.page.locator("button, input[type=submit]").all()
        with suppress(Exception):
            if number % 2 and buttons:
                buttons[number % len(buttons)].click(no_wait_after=True)
            else:
                tab.page.keyboard.press("Enter")
        tab.settle()


def force(tab: Tab) -> None:
    """Take away what the page asks to be filled in, and submit every form by script, three pages deep."""
    tab.open()
    for how in ("one.submit()", "one.requestSubmit()"):
        for number in range(3):
            tab.run(FREE_ALL)
            tab.run(f"{{ const one = document.forms[{number}] || document.forms[0]; if (one) {how} }}")
            tab.settle()


def come_back(tab: Tab) -> None:
    """Open it, reload what was sent, go back and forth, and open it in a second tab."""
    tab.open()
    for step in (tab.page.reload, tab.page.go_back, tab.page.go_forward, tab.page.reload):
        with suppress(Exception):
            step()
        tab.settle()
    second = Tab(tab.page.context.new_page(), tab.link)
    second.open()
    tab.did.update(second.did)


class Driver(NamedTuple):
    """A kind of visitor with a browser: its name, and what it does."""

    name: str
    visit: Callable[[Tab], None]

    @property
    def does(self) -> str:
        """What it does, in a sentence."""
        return (self.visit.__doc__ or "").strip()


DRIVERS = (
    Driver("browser", look),
    Driver("browser, pressing", press),
    Driver("browser, filling", fill),
    Driver("browser, submitting", force),
    Driver("browser, coming back", come_back),
)


def installed() -> str | None:
    """Return the browser that CHROMIUM names or that is on the path; None where playwright must have its own."""
    found = (shutil.which(name) for name in CHROMIUM)
    return os.environ.get("CHROMIUM") or next((one for one in found if one), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless browser.

    Raises:
        ImportError: playwright is not installed.
        playwright.sync_api.Error: there is no browser to start.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        try:
            yield browser
        finally:
            browser.close()


def visit(browser: Browser, driver: Driver, link: str) -> Counter[str]:
    """Let one visitor loose on a link, in a profile of its own, and return how often it asked by which method."""
    with browser.new_context() as context:
        tab = Tab(context.new_page(), link)
        driver.visit(tab)
        return tab.did


def seen(browser: Browser, link: str) -> str:
    """Return what a person reads at a link once its scripts have run."""
    with browser.new_context() as context:
        tab = Tab(context.new_page(), link)
        tab.open()
        return " ".join(tab.page.inner_text("body").split())


def bare(link: str) -> str:
    """Return a link without its fragment."""
    return urldefrag(link)[0]
