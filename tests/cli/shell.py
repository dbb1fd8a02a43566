"""A shell for tests: runs the command in this process, as somebody, against whatever answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import httpx
from typer.testing import CliRunner, Result

from gonogo.cli.app import app
from gonogo.cli.desk import Desk
from tests.functions.world import World

URL = "https://gonogo.example.com/api/"


class Passing:
    """A clock on which time passes only by sleeping; `meanwhile` happens during each sleep."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def clock(self) -> float:
        """Return the time, in seconds."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds
        self.slept.append(seconds)
        self.meanwhile()


class Shell:
    """Runs commands; nothing of the caller's own environment is seen by them."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self.transport = transport
        self.passing = Passing()
        self.environment: dict[str, str | None] = {
            "GONOGO_URL": URL,
            "GONOGO_TOKEN": "dev",
            "GONOGO_TOKEN_COMMAND": None,
            "COLUMNS": "80",
            "TERM": "dumb",
        }

    def __call__(
        self, *words: str, who: str | None = None, typed: str = "", **environment: str | None
    ) -> Result:
        """Run `gonogo` with these words, with this typed into it."""
        desk = Desk(transport=self.transport, sleep=self.passing.sleep, clock=self.passing.clock)
        added = {"GONOGO_TOKEN": who} if who else {}
        return CliRunner().invoke(
            app, list(words), input=typed, obj=desk, env={**self.environment, **added, **environment}
        )

    def json(self, *words: str, who: str | None = None) -> Any:
        """Run `gonogo` with these words and --json, and return what it prints."""
        result = self(*words, "--json", who=who)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


class Gateway(httpx.BaseTransport):
    """The real API in this process, as API Gateway reaches it under the stage `api`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Hand the request over without the stage, as API Gateway does."""
        path = request.url.raw_path.decode().removeprefix("/api")
        answer = self._world.call(request.method, path, raw=request.read(), headers=dict(request.headers))
        return httpx.Response(answer.code, headers=answer.headers, text=answer.text)


class Answers(httpx.BaseTransport):
    """Answers by method and path, one after the other, the last for ever; keeps what was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = {
            route: list(given) if isinstance(given, list) else [given] for route, given in answers.items()
        }
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Give the next answer: JSON for a success, or a response or an error as it is."""
        self.asked.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        )
        left = self._answers[f"{request.method} {request.url.path.removeprefix('/api')}"]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def problem(status: int, slug: str, detail: str = "", **more: Any) -> httpx.Response:
    """Return a problem document."""
    body = {"type": f"urn:gonogo:problem:{slug}", "title": slug, "status": status, "detail": detail, **more}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})


NASTY = "\x1b[2J\x1b]0;x\x07[red]x[/red] \u202egnp.exe \u200b\u2066\x9b31m :smile: \\"


def nasty(value: Any, but: Collection[str] = ()) -> Any:
    """Return the value with something nasty in every text but times, numbers and what stands under these keys."""
    if isinstance(value, str) and not value[:1].isdigit():
        return value + NASTY
    if isinstance(value, dict):
        return {key: inner if key in but else nasty(inner, but) for key, inner in value.items()}
    return [nasty(one, but) for one in value] if isinstance(value, list) else value
