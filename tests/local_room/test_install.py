"""A machine that lacks something is told so in one sentence."""

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


IMPORTS = "import json, sys, local.demo, local.house, local.listen; print(json.dumps(sorted(sys.modules)))"


OPTIONAL = {"_distutils_hack", "gonogo", "jsonpointer", "pkg_resources", "setuptools"}
"""What is there in any venv, or is imported where it is there and not missed where it is not."""


def needed(names: Iterable[str]) -> set[str]:
    """Return the distributions that these need, themselves among them, by what they say."""
    found: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        one = left.pop()
        extras = [{"extra": extra} for extra in ("", *one.extras)]
        key = f"{canonicalize_name(one.name)}{sorted(one.extras)}"
        if key in found:
            continue
        found |= {key, canonicalize_name(one.name)}
        more = map(Requirement, metadata.requires(one.name) or ())
        left += [
            each
            for each in more
            if each.marker is None or any(each.marker.evaluate(extra) for extra in extras)
        ]
    return found


def test_what_the_house_imports_is_installed_for_it() -> None:
    """Tests have more installed than a new user, for whom nothing would start if a package came with them only."""
    lines = (install.HOUSE / "requirements-local.txt").read_text().splitlines()
    lines += (install.HOUSE / "requirements.txt").read_text().splitlines()
    pinned = [line.partition("#")[0].strip() for line in lines]
    listed = needed(one for one in pinned if one and not one.startswith("-"))
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True, cwd=install.HOUSE
    )
    tops = {name.partition(".")[0] for name in json.loads(shown.stdout)}
    owners = metadata.packages_distributions()
    strange = {
        top for top in tops & owners.keys() if not {canonicalize_name(one) for one in owners[top]} & listed
    }
    assert strange - OPTIONAL == set()
