"""What a command works with: which deployment, as whom, and the clock that it waits by."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated

import httpx
import typer

from gonogo.client import Client, ClientError, Token, checked_id

TOKEN = "GONOGO_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_TIMEOUT = 300
"""Seconds that a token command may take: it may have to ask a person."""


class Exit(IntEnum):
    """How the command leaves; 2 is typer's own."""

    REFUSED = 1
    TOO_LONG = 3


class TokenCommandError(ClientError):
    """The token command gave no token."""


@dataclass(frozen=True)
class Desk:
    """Settings from the command line and the environment; tests give transport and clock."""

    url: str | None = None
    token_command: str | None = None
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def client(self) -> Client:
        """Return the client for the deployment.

        Raises:
            typer.BadParameter: there is no address or no token, or they cannot be used.
        """
        if not self.url:
            raise typer.BadParameter("say which deployment: set GONOGO_URL, or give --url")
        try:
            return Client(self.url, self._token(), transport=self.transport, sleep=self.sleep)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    def _token(self) -> Token:
        """Return the token: the option's command first, then the variable, then the variable's command."""
        token = os.environ.get(TOKEN, "").strip()
        if token and not self.token_command:
            return token
        command = self.token_command or os.environ.get(f"{TOKEN}_COMMAND", "").strip()
        if not command:
            raise typer.BadParameter(
                f"say who you are: set {TOKEN} or {TOKEN}_COMMAND, or give --token-command"
            )
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise typer.BadParameter(f"the token command cannot be read: {error}") from error
        return lambda: token_from(words)


def token_from(words: list[str]) -> str:
    """Run a program, no shell between, and return the one word that it prints; it may speak on stderr.

    Raises:
        TokenCommandError: it could not be run, failed, or printed something else.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the user's own words, split but seen by no shell
            words, stdout=subprocess.PIPE, check=False, text=True, timeout=TOKEN_TIMEOUT
        )
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise TokenCommandError(f"The token command {words[0]!r} failed: {type(error).__name__}") from error
    token = done.stdout.strip()
    if done.returncode:
        raise TokenCommandError(f"The token command {words[0]!r} left with {done.returncode}.")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenCommandError(f"The token command {words[0]!r} printed something that is no token.")
    return token


def desk(context: typer.Context) -> Desk:
    """Return what this run works with."""
    found = context.find_object(Desk)
    if found is None:
        raise AssertionError("the root command makes one")
    return found


def confirm(question: str) -> None:
    """Ask, beside the answer; without a yes nothing is done, and the command leaves.

    Raises:
        typer.Exit: the answer is no, or there is none.
    """
    try:
        sure = typer.confirm(question, err=True)
    except typer.Abort:
        sure = False
    if not sure:
        typer.secho("Nothing was changed.", fg="red", err=True)
        raise typer.Exit(Exit.REFUSED)


def _id(text: str) -> str:
    try:
        return checked_id(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The launch, such as l-abc...", show_default=False, callback=_id)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, in ASCII, for scripts.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
