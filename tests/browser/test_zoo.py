"""The visitors of the zoo that have a real browser: none decides by a link of ours, and they find where one would."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from examples.scanner_zoo import browsers, zoo
from tests.browser.conftest import Running
from tests.functions.careless import CODE, Careless

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_no_browser_of_the_zoo_decides_and_a_person_still_can(
    running: Running, browser: Browser, phone: Page
) -> None:
    """Running scripts, pressing everything, filling everything, submitting by force, coming back: nothing."""
    launch = running.ask(template="gpu-large", name="zoo")
    link = running.link(launch)

    def witness(_link: str) -> str:
        now = running.read(launch)
        return f"{now['version']} {now['state']} {[gate['decisions'] for gate in now['gates']]}"

    reads = zoo.ByReading(lambda: httpx.Client(timeout=20))
    before = reads(link)
    assert before.startswith("200 GO or NO-GO?")
    for outcome in zoo.by_browser(itertools.repeat(link), browser, witness):
        assert not outcome.decided, outcome
        assert outcome.did["POST"] >= 1, f"{outcome.visitor} never came as far as the question"
    assert reads(link) == before
    assert "zoo" in browsers.seen(browser, link)
    phone.goto(link)
    phone.get_by_label("Type GO or NO-GO").fill("GO")
    phone.get_by_role("button", name="Send decision").tap()
    expect(phone.get_by_role("heading", name="GO is recorded")).to_be_visible()
    assert not running.undecided(launch)


@pytest.fixture(name="careless", params=["script", "button", "empty"])
def careless_server(request: pytest.FixtureRequest) -> Iterator[tuple[Careless, str]]:
    """Serve a link with a fault on this machine."""
    link = Careless(request.param)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            page = link.answer(self.command, self.path, body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield link, f"http://127.0.0.1:{server.server_address[1]}/link#{CODE}"
    server.shutdown()
    server.server_close()
    thread.join()


FOUND_BY = {"script": "browser", "button": "browser, pressing", "empty": "browser, submitting"}


def test_browsers_of_the_zoo_find_a_link_that_decides(
    careless: tuple[Careless, str], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a script when it is opened, by a button, by a form without a field: each is found out."""
    bad, link = careless
    (driver,) = [one for one in browsers.DRIVERS if one.name == FOUND_BY[bad.fault]]
    if bad.fault == "button":
        # this page asks for the code first, as a link whose script fills it in would not
        monkeypatch.setattr(bad, "answer", _filled(bad))
    (outcome,) = zoo.by_browser(itertools.repeat(link), browser, lambda _link: str(bad.decided), [driver])
    assert outcome.decided
    assert bad.decided


def _filled(bad: Careless) -> Callable[[str, str, str], str]:
    answer = bad.answer

    def filled(method: str, url: str, body: str) -> str:
        return answer(method, url, body or f"code={CODE}")

    return filled
