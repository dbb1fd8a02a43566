"""The commands `up`, `demo` and `listen` of `python -m local`: what the Makefile runs."""

import argparse
import contextlib
import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from local import aws

if TYPE_CHECKING:
    from local.house import House

LARGEST_PORT = 65535


class StartError(Exception):
    """It cannot start; the text is the one sentence for a person."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise StartError(f"{self.prog}: {message}")


class OneLine(logging.Formatter):
    """Logs an error with its cause on one line; `--verbose` shows where it came from."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")
        self._verbose = verbose

    def formatException(self, ei: object) -> str:  # noqa: N802  the name is the standard library's
        """Return the cause in as many words as were asked for."""
        if self._verbose or not isinstance(ei, tuple):
            return super().formatException(ei)  # type: ignore[arg-type]
        return f"         because of {ei[0].__name__}: {ei[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the program."""
    began = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        asked = _parser().parse_args(arguments)
        _log(verbose=asked.verbose)
        with own_terminal():
            asked.run(asked, began)
    except StartError as problem:
        print(problem, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print(flush=True)
    return 0


def _log(*, verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(verbose=verbose))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


def up(asked: argparse.Namespace, began: float) -> None:
    """Run the house until somebody ends it."""
    from local import welcome

    house = _house(asked)
    house.start()
    try:
        print(welcome.text(house.url, house.aws_url, time.monotonic() - began), flush=True)
        threading.Event().wait()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nStopping.", flush=True)
        house.stop()


def demo(asked: argparse.Namespace, _began: float) -> None:
    """Drive one whole launch, by HTTP and AWS clients alone."""
    from local import demo as story

    try:
        story.run(asked.port, asked.aws_port)
    except story.StuckError as problem:
        raise StartError(str(problem)) from problem


def listen(asked: argparse.Namespace, _began: float) -> None:
    """Print every event of the bus, one line each, until somebody ends it."""
    from botocore.exceptions import BotoCoreError

    from local.listen import Listener

    url = f"http://127.0.0.1:{asked.aws_port}"
    try:
        listener = Listener(url)
        print(f"Listening to the bus gonogo through {url}; Ctrl-C ends it.", flush=True)
        with contextlib.closing(listener):
            while True:
                for event in listener.events():
                    subject = event["detail"]["subject"]
                    print(f"{event['time']} {event['detail-type']:<24} {subject}", flush=True)
    except BotoCoreError as error:
        message = f"Nothing answers on {url}: start gonogo with `make up`, or name its --aws-port."
        raise StartError(message) from error


def _house(asked: argparse.Namespace) -> "House":
    """Return the house, made; raise StartError in words for whatever a person can mend."""
    aws.pretend()
    for port, name in ((asked.port, "PORT"), (asked.aws_port, "AWS_PORT")):
        _check_port(port, name)
    if asked.port == asked.aws_port:
        message = f"PORT and AWS_PORT are both {asked.port}: they are two servers, so give them two ports."
        raise StartError(message)
    from gonogo.core.errors import BundleRefusedError
    from local.house import House, WiringError
    from local.template import TemplateError

    try:
        return House(
            port=asked.port,
            aws_port=asked.aws_port,
            wake_every=timedelta(seconds=asked.wake_every),
            policy=asked.policy,
            roles=asked.roles,
        )
    except BundleRefusedError as refused:
        message = f"{asked.policy} is refused: {refused}"
        raise StartError(message) from refused
    except (OSError, TemplateError, WiringError) as error:
        message = f"gonogo cannot start: {error}"
        raise StartError(message) from error


def _check_port(port: int, name: str) -> None:
    """Raise StartError unless this machine can listen on a port."""
    from local.endpoint import listening

    try:
        listening(port).close()
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
        message = (
            f"Port {port} {reason}: end what listens there, or choose another: `make up {name}={port + 1}`."
        )
        raise StartError(message) from error


@contextlib.contextmanager
def own_terminal() -> Iterator[None]:
    """Keep Ctrl-C for this program when make runs it in a terminal: make itself would call it an error.

    This program becomes the terminal's foreground process group, as a shell's jobs do, and hands that back.
    """
    try:
        terminal = sys.stdin.fileno()
        before = os.tcgetpgrp(terminal)
    except (OSError, ValueError, AttributeError):
        before = terminal = -1
    if "MAKELEVEL" not in os.environ or before != os.getpgrp():
        yield
        return
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # make would not notice that its child sleeps
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= LARGEST_PORT:
        message = f"{text!r} is not a port: use a number from 1 to {LARGEST_PORT}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _parser() -> Parser:
    parser = Parser(prog="python -m local", description="gonogo, whole, on this machine.")
    parser.add_argument("--verbose", action="store_true", help="log requests, and where errors come from")
    commands = parser.add_subparsers(required=True)
    for run in (up, demo, listen):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.set_defaults(run=run)
        command.add_argument("--aws-port", type=_port, default=4566, help="of the AWS endpoint (4566)")
        if run is not listen:
            command.add_argument("--port", type=_port, default=8000, help="of the API (8000)")
        if run is up:
            command.add_argument("--wake-every", type=float, default=60, help="seconds between alarms (60)")
            command.add_argument("--policy", type=Path, default=Path("policy"), help="the folder (policy)")
            command.add_argument(
                "--roles",
                choices=("on", "off"),
                default="on",
                help="whether each function may do no more than its role allows (on)",
            )
    return parser
