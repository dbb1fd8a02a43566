"""A machine that lacks something is told so in one sentence."""

import subprocess
from pathlib import Path

import pytest

from local import install

HOUSE = Path(__file__).parents[2]


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_without_a_python_that_is_new_enough_it_says_so(python):
    """Nobody should have to read a traceback to learn that their Python is old."""
    command = ["/bin/sh", str(HOUSE / "local" / "install.sh"), "local"]
    done = subprocess.run(command, env={"PYTHON": python}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("gonogo needs Python 3.11 or newer")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ""),
        (["Collecting x", "ERROR: No matching distribution found for x==9"], "No matching distribution"),
        (["WARNING: Retrying (Retry(total=1))", "ERROR: No matching distribution"], install.SILENT),
    ],
)
def test_what_pip_says_is_brought_to_the_point(lines, expected):
    """Without a network pip's last word is that a package does not exist, which misleads."""
    reason = ""
    for line in lines:
        reason = install.worse(reason, line)
    assert reason.startswith(expected)


def test_a_changed_list_is_installed_again(tmp_path, monkeypatch):
    """Whoever pulls a new version must not run it on the old packages."""
    monkeypatch.setattr(install, "HOUSE", tmp_path)
    (tmp_path / "requirements.txt").write_text("x==1\n")
    before = install.fingerprint(("requirements.txt",))
    assert install.fingerprint(("requirements.txt",)) == before
    (tmp_path / "requirements.txt").write_text("x==2\n")
    assert install.fingerprint(("requirements.txt",)) != before


def test_a_folder_that_is_no_environment_does_not_work(tmp_path):
    """A .venv whose Python was removed is made anew."""
    assert not install.works(tmp_path)
