"""Which deployment and as whom: from where, in which order, and what it must never do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gonogo.cli.app import app, policy
from tests.cli.shell import Answers, Shell, problem

ROOT = Path(__file__).parents[2]


def bearer(shell: Shell, *words: str, **environment: Any) -> str:
    """Return the token that a command sends."""
    there = Answers({"GET /v1/policy": problem(403, "no")})
    shell.transport = there
    result = shell(*words, "policy", "show", **environment)
    assert there.asked, result.output
    return there.asked[-1].headers["Authorization"].removeprefix("Bearer ")


def printing(text: str, leaving: int = 0) -> str:
    """Return a command line that prints a text and leaves."""
    return f"{sys.executable} -c 'print(\"{text}\"); raise SystemExit({leaving})'"


@pytest.fixture(name="shell")
def shell_without_a_world() -> Shell:
    """Give a shell that reaches nothing."""
    return Shell(Answers({}))


def test_the_token_comes_from_the_variable_or_a_command(shell: Shell):
    """Pipelines set a variable, people a command of their identity provider; what is typed comes first."""
    assert bearer(shell, GONOGO_TOKEN="from-variable") == "from-variable"
    assert bearer(shell, GONOGO_TOKEN=None, GONOGO_TOKEN_COMMAND=printing("by-command")) == "by-command"
    assert bearer(shell, GONOGO_TOKEN="v", GONOGO_TOKEN_COMMAND=printing("by-command")) == "v"
    assert bearer(shell, "--token-command", printing("typed"), GONOGO_TOKEN="v") == "typed"


def test_no_shell_reads_the_token_command(shell: Shell, tmp_path: Path):
    """A variable with a `;` in it must stay one command."""
    token = bearer(
        shell, "--token-command", f"{sys.executable} -c 'print(\"a;b$HOME\")' ; touch {tmp_path}/x"
    )
    assert token == "a;b$HOME"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        printing(""),
        printing("two words"),
        printing("a\\nb"),
        printing("s3cret", leaving=1),
        "/no/such/program",
    ],
)
def test_a_command_without_a_token_is_a_failure_that_shows_no_secret(shell: Shell, command: str):
    """What it printed may be half a secret."""
    there = Answers({})
    shell.transport = there
    result = shell("--token-command", command, "policy", "show")
    assert result.exit_code == 1
    assert "token command" in result.stderr
    assert "s3cret" not in result.output
    assert there.asked == []


@pytest.mark.parametrize(
    "environment",
    [
        {"GONOGO_URL": None},
        {"GONOGO_URL": "http://gonogo.example.com"},
        {"GONOGO_TOKEN": None},
        {"GONOGO_TOKEN": "two words"},
        {"GONOGO_TOKEN": None, "GONOGO_TOKEN_COMMAND": "'unbalanced"},
    ],
)
def test_missing_or_unusable_settings_leave_with_2(shell: Shell, environment: dict[str, Any]):
    """A pipeline without its settings is not a refusal of policy."""
    result = shell("policy", "show", **environment)
    assert result.exit_code == 2
    assert "two words" not in result.output


def test_a_crash_shows_no_token(shell: Shell):
    """A trace with values in it would put the token in a pipeline's log."""
    shell.transport = Answers({"GET /v1/policy": {"unexpected": "shape"}})
    result = shell("policy", "show", GONOGO_TOKEN="t0p-s3cret")
    assert isinstance(result.exception, KeyError)
    assert "t0p-s3cret" not in result.output


@pytest.mark.parametrize("module", ["gonogo.cli", "gonogo.cli.app", "gonogo.client"])
def test_importing_it_is_light(module: str):
    """Shells complete by running it; Cedar and AWS are for the few commands that need them."""
    heavy = ("boto3", "botocore", "pynamodb", "cedarpy", "chalice", "jsonschema_rs", "jwt", "cryptography")
    code = f"import sys, {module}; print(*[one for one in {heavy!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_it_runs_as_a_program():
    """`gonogo --version` is the first thing that anybody types."""
    done = subprocess.run(
        [sys.executable, "-m", "gonogo.cli", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().count(".") == 2


def test_every_command_says_what_it_does(shell: Shell):
    """Help is the manual that is there when one needs it."""
    for words in (
        (),
        *((str(one.name),) for one in app.registered_commands),
        ("policy",),
        *(("policy", str(one.name)) for one in policy.registered_commands),
    ):
        result = shell(*words, "--help")
        assert result.exit_code == 0, words
        assert max(len(one) for one in result.stdout.splitlines()) <= 80
