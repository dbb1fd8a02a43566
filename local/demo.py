"""One whole launch, told step by step: asked for, decided by the link in a mail, run, and ended.

It speaks to gonogo as strangers do: the HTTP API, the pages, and any AWS client. Only tokens and mails
come from where a company has its own: below /_local/.
"""

import html
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

import httpx
from botocore.exceptions import BotoCoreError

from local.endpoint import listening
from local.listen import Listener

T = TypeVar("T")

PATIENCE = 60.0
PAUSE = 0.2
ASK = {"template": "web-small", "reason": "See a whole launch in a minute", "cost_center": "demo"}
LINK = re.compile(r"(https?://\S+/decide)#(gng_\S+)")
HIDDEN = re.compile(r'name="digest" value="([0-9a-f]{64})"')


class StuckError(Exception):
    """Something that the story waits for did not come; the text says what."""


def run(port: int, aws_port: int) -> None:
    """Tell the story, on a gonogo that runs on these ports or else on one of its own; raise StuckError."""
    with ExitStack() as stack:
        if not _answers(f"http://127.0.0.1:{port}/healthz"):
            port, aws_port = stack.enter_context(own_gonogo())
        try:
            listener = stack.enter_context(closing(Listener(f"http://127.0.0.1:{aws_port}")))
        except BotoCoreError as error:
            message = (
                f"gonogo runs on port {port}, but nothing on the AWS endpoint {aws_port}: name its AWS_PORT."
            )
            raise StuckError(message) from error
        url = f"http://127.0.0.1:{port}/"
        web = stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE))
        Story(web, listener).tell()


class Story:
    """The steps, and what they know of each other."""

    def __init__(self, web: httpx.Client, listener: Listener) -> None:
        self._web = web
        self._listener = listener
        self._heard: list[dict[str, Any]] = []
        self._number = 0

    def tell(self) -> None:
        """Go through all steps."""
        self._step("A queue of our own is attached to the bus gonogo, by a plain AWS client.")
        self._step("dev asks for a web server.")
        dev = self._signed_in("dev")
        launch = self._json("POST", "v1/launches", json=ASK, headers=dev)
        price = launch["price"]
        self._say(f"{launch['id']} is {launch['state']}: {price['monthly']} {price['currency']} a month.")
        (gate,) = launch["gates"]
        self._say(f"Policy asks the gate {gate['title']!r}; {gate['expires_at']} is too late.")

        self._step("lead gets a mail.")
        mail, link, code = self._wait(
            "the mail to lead", lambda: self._mail(launch["id"], "lead@example.com")
        )
        self._say(f"{mail['subject']}")
        self._say(f"It links to {link}#{code[:12]}... The code is behind the #: no log sees it.")

        self._step("lead opens the link and sees what there is to decide.")
        page = self._page({"code": code})
        for line in _lines(page):
            self._say(line)

        self._step("lead types GO.")
        digest = HIDDEN.search(page)
        if digest is None:
            message = "The decision page does not say what it asks about."
            raise StuckError(message)
        said = self._page({"code": code, "digest": digest[1], "answer": "GO", "comment": "Looks small"})
        for line in _lines(said)[:3]:
            self._say(line)

        self._step("gonogo launches it, once, exactly as shown.")
        running = self._wait("RUNNING", lambda: self._in_state(launch["id"], dev, "RUNNING"))
        machines = [one["id"] for one in running["resources"]]
        self._say(f"{launch['id']} is RUNNING: {', '.join(machines)}.")

        self._step("Our queue hears that the meter runs.")
        started = self._wait("instance.started", lambda: self._event("instance.started", launch["id"]))
        self._say(f"{started['detail-type']} of {started['detail']['subject']}")

        self._step("dev ends it.")
        self._json("POST", f"v1/launches/{launch['id']}/terminate", json={}, headers=dev)
        self._wait("TERMINATED", lambda: self._in_state(launch["id"], dev, "TERMINATED"))
        self._wait("instance.terminated", lambda: self._event("instance.terminated", launch["id"]))
        self._wait("launch.terminated", lambda: self._event("launch.terminated", launch["id"]))
        self._say(f"{launch['id']} is TERMINATED.")

        self._step("That is what our queue heard; a billing system would have heard the same.")
        for event in self._heard:
            self._say(f"{event['time']}  {event['detail-type']:<24} {event['detail']['subject']}")

    def _step(self, text: str) -> None:
        self._number += 1
        print(f"\n{self._number}. {text}", flush=True)

    def _say(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Return what `look` finds, as soon as it finds it; raise StuckError when it takes too long."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = look()
            if found is not None:
                return found
            time.sleep(PAUSE)
        message = f"{what} did not come within {PATIENCE:.0f} seconds."
        raise StuckError(message)

    def _json(self, method: str, path: str, **more: Any) -> Any:
        answer = self._web.request(method, path, **more)
        if answer.is_error:
            message = f"{method} {path} was answered {answer.status_code}: {answer.text}"
            raise StuckError(message)
        return answer.json()

    def _page(self, fields: dict[str, str]) -> str:
        answer = self._web.post("decide", data=fields)
        if answer.is_error:
            message = f"The decision page was answered {answer.status_code}: {' '.join(_lines(answer.text))}"
            raise StuckError(message)
        return answer.text

    def _signed_in(self, person: str) -> dict[str, str]:
        token = self._json("POST", "_local/token", json={"person": person})["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def _mail(self, launch: str, to: str) -> tuple[dict[str, str], str, str] | None:
        for mail in self._json("GET", "_local/mail"):
            link = LINK.search(mail["text"])
            if launch in mail["text"] and to in mail["to"] and link is not None:
                return mail, link[1], link[2]
        return None

    def _in_state(self, launch: str, headers: dict[str, str], state: str) -> Any:
        found = self._json("GET", f"v1/launches/{launch}", headers=headers)
        if found["state"] in ("FAILED", "REJECTED", "EXPIRED", "CANCELLED"):
            message = f"{launch} is {found['state']}: {found['failure']}"
            raise StuckError(message)
        return found if found["state"] == state else None

    def _event(self, name: str, launch: str) -> dict[str, Any] | None:
        self._heard += [event for event in self._listener.events() if launch in str(event["detail"])]
        return next((event for event in self._heard if event["detail-type"] == name), None)


@contextmanager
def own_gonogo() -> Iterator[tuple[int, int]]:
    """Run a gonogo of our own while we are here, on free ports, which are given."""
    with listening(0) as first, listening(0) as second:
        port, aws_port = first.getsockname()[1], second.getsockname()[1]
    print(f"gonogo does not run yet, so one is started for this, on port {port}.", flush=True)
    command = [sys.executable, "-m", "local", "up", "--port", str(port), "--aws-port", str(aws_port)]
    # in a group of its own, so that Ctrl-C reaches us first, and we end it in order
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, env=os.environ)
    try:
        until = time.monotonic() + PATIENCE
        while not _answers(f"http://127.0.0.1:{port}/healthz"):
            if process.poll() is not None or time.monotonic() > until:
                message = "gonogo did not start; what it said is above."
                raise StuckError(message)
            time.sleep(PAUSE)
        yield port, aws_port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=PATIENCE).is_success
    except httpx.TransportError:
        return False


def _lines(page: str) -> list[str]:
    """Return the words of a page's main part, as a person reads them, line by line."""
    main = re.search(r"<main[^>]*>(.*)</main>", page, re.DOTALL)
    text = re.sub(r"<(script|style|form|details)\b.*?</\1>", "", main[1] if main else page, flags=re.DOTALL)
    text = text.replace("\n", " ").replace("</dt>", ": ")
    text = re.sub(r"</(p|h1|h2|dd|li|tr|div)>|<br[^>]*>", "\n", text)
    bare = html.unescape(re.sub(r"<[^>]+>", "", text))
    return [" ".join(line.split()) for line in bare.splitlines() if line.strip()]
