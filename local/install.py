"""Makes .venv and what else a target of the Makefile needs, once; runs on a bare Python.

`python local/install.py local` is what `make up` needs; `test` adds linters, types, a browser, the second
engine and the generator of hostile requests; `mutants` makes .venv-mutmut alone. Every failure is one sentence, and
running it again goes on from there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
VENV = HOUSE / ".venv"
MINISTACK = HOUSE / ".venv-ministack"
SCHEMATHESIS = HOUSE / ".venv-schemathesis"
MUTMUT = HOUSE / ".venv-mutmut"
LISTS = {
    "local": ("requirements.txt", "requirements-local.txt"),
    "test": ("requirements.txt", "requirements-local.txt", "requirements-dev.txt"),
}
WIDTH = 60
SILENT = "the package index does not answer"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class InstallError(Exception):
    """Something could not be installed; the text is the one sentence for a person."""


def say(text: str) -> None:
    """Print one line, at once."""
    print(text, flush=True)


def main(want: str) -> int:
    """Install what `want` (a key of LISTS) needs; the exit code of the program."""
    try:
        if want == "mutants":
            install(MUTMUT, (*LISTS["test"], "requirements-mutmut.txt"), "what makes mutants of the core")
            return 0
        install(VENV, LISTS[want], "all that gonogo needs" if want == "local" else "the tools for tests")
        if want == "test":
            install(MINISTACK, ("requirements-ministack.txt",), "the second engine for tests/deployed")
            install(
                SCHEMATHESIS,
                ("requirements-schemathesis.txt",),
                "the generator of requests for tests/hostile",
            )
            browser()
    except InstallError as problem:
        print(problem, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nStopped while installing; the next start goes on from here.", file=sys.stderr, flush=True)
        return 130
    return 0


def install(where: Path, lists: tuple[str, ...], what: str) -> None:
    """Bring the virtual environment `where` to what the requirement files `lists` say, unless it is."""
    stamp = stamp_of(where, lists)
    if works(where) and stamp.exists() and stamp.read_text() == fingerprint(lists):
        return
    say(f"Installing {what} into {where.name}; this happens once and takes about a minute.")
    if not works(where):
        create(where)
    pip(where, lists[-1])
    for held in (lists, *LISTS.values()):
        if set(held) <= set(lists):  # who has the tools for tests has what `make up` needs, too
            stamp_of(where, held).write_text(fingerprint(held))


def stamp_of(where: Path, lists: tuple[str, ...]) -> Path:
    """Return the file in an environment that says what of `lists` is in it."""
    return where / f".installed-{lists[-1]}"


def fingerprint(lists: tuple[str, ...]) -> str:
    """Return what the stamp of an environment must say for these requirement files to be in it."""
    digest = hashlib.sha256()
    for name in lists:
        digest.update((HOUSE / name).read_bytes())
    return digest.hexdigest()


def python_of(where: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return where / "bin" / "python"


def works(where: Path) -> bool:
    """Tell whether `where` is a virtual environment whose Python is new enough and has pip."""
    question = (
        "import sys, importlib.util as u; sys.exit(sys.version_info < (3, 11) or not u.find_spec('pip'))"
    )
    try:
        asked = subprocess.run([python_of(where), "-c", question], capture_output=True, check=False)
    except OSError:
        return False
    return asked.returncode == 0


def create(where: Path) -> None:
    """Make the virtual environment `where` anew; raise InstallError when this Python cannot."""
    shutil.rmtree(where, ignore_errors=True)
    try:
        venv.create(where, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, OSError, ImportError, SystemExit) as error:
        shutil.rmtree(where, ignore_errors=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        message = (
            f"{sys.executable} cannot make a virtual environment in {where.name} ({error}): "
            f"on Debian and Ubuntu `apt install python{version}-venv` mends that."
        )
        raise InstallError(message) from error


def pip(where: Path, requirements: str) -> None:
    """Install a requirement file, saying what is being fetched; raise InstallError with pip's own reason."""
    command = [str(python_of(where)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--progress-bar", "off", "--retries", "2", "--timeout", "15", "-r", str(HOUSE / requirements)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    progress = Progress()
    reason = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=HOUSE
    ) as process:
        for line in process.stdout or ():
            progress.heard(line.strip())
            reason = worse(reason, line.strip())
    progress.done()
    if process.returncode != 0:
        message = (
            f"pip could not install {requirements}: {reason or 'it does not say why'}. "
            "Check the network, or the package index that pip is set to, and start again."
        )
        raise InstallError(message)


def worse(reason: str, line: str) -> str:
    """Return what is known of a failure after one more line of pip's: silence explains all else."""
    if line.startswith("WARNING: Retrying"):
        return SILENT
    if line.startswith("ERROR:") and reason != SILENT:
        return line.removeprefix("ERROR:").strip()
    return reason


class Progress:
    """One line that changes on a terminal, one line for each twenty packages elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._seen = 0

    def heard(self, line: str) -> None:
        """Take one line of pip's output."""
        if line.startswith("Collecting "):
            self._seen += 1
            name = line.split()[1]
            if self._live:
                self._show(f"\r  {self._seen} packages: {name:<{WIDTH}.{WIDTH}}")
            elif self._seen % 20 == 0:
                self._show(f"  {self._seen} packages found\n")
        elif line.startswith("Installing collected packages"):
            self._show("\r  unpacking " + " " * WIDTH if self._live else "  unpacking\n")

    def done(self) -> None:
        """Leave the terminal on a fresh line."""
        if self._live and self._seen:
            self._show("\r" + " " * (WIDTH + 20) + "\r")

    def _show(self, text: str) -> None:
        print(text, end="", flush=True)


def browser() -> None:
    """See to a Chromium for the tests marked `browser`; without one they say so and are skipped."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say("No Chromium here: the tests of the pages are skipped until one is installed.")
        return
    say("Installing Chromium for the tests of the pages.")
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False, env=environment).returncode != 0:
            say("apt-get could not install Chromium: the tests of the pages are skipped.")
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
