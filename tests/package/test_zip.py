"""What is in the zip, and what packing refuses."""

from __future__ import annotations

import os
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from infra import package as packing
from tests import packaged

AARCH64 = 183
"""The field e_machine of an ELF file for 64-bit ARM (ELF header, bytes 18 and 19)."""
STRANGERS = {
    "infra",
    "local",
    "moto",
    "mypy",
    "pip",
    "pytest",
    "requirements.txt",
    "ruff",
    "setuptools",
    "tests",
    "vendor",
    "wheel",
}
"""What runs here but not there, with the folders of the project that are no part of it."""


@pytest.fixture(scope="module")
def names(package: packaged.Package) -> list[str]:
    """Return the names of all entries."""
    with zipfile.ZipFile(package.zip) as entries:
        return entries.namelist()


def test_zip_holds_the_functions_and_all_they_import(names: list[str]) -> None:
    """Chalice packs only app.py and vendor/, so a broken link deploys an app that cannot import itself."""
    sources = {
        path.relative_to(packing.PROJECT).as_posix()
        for folder in ("functions", "gonogo")
        for path in (packing.PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources | {"app.py", "chalice/app.py", "boto3/__init__.py"} <= set(names)


def test_zip_holds_nothing_else(names: list[str]) -> None:
    """What is not needed there is surface for an attacker and seconds at a cold start."""
    tops = {name.split("/")[0] for name in names}
    assert not tops & STRANGERS
    assert not [
        name for name in names if "__pycache__" in name or name.endswith(".pyc") or name.startswith(".")
    ]


def test_zip_keeps_what_packages_say_of_themselves(package: packaged.Package) -> None:
    """An engine of one's own is found by its entry point, which stands in the dist-info of its package."""
    found = list(metadata.Distribution.discover(path=[str(package.zip)]))
    names = {one.metadata["Name"].lower() for one in found}
    assert {"boto3", "pyyaml", "jinja2"} <= names
    (jinja,) = [one for one in found if one.metadata["Name"].lower() == "jinja2"]
    assert [one.group for one in jinja.entry_points] == ["babel.extractors"]


def test_zip_is_for_the_processor_that_the_template_asks_for(
    names: list[str], package: packaged.Package
) -> None:
    """A compiled module for another machine fails at its first import, in production."""
    compiled = [name for name in names if name.endswith(".so")]
    with zipfile.ZipFile(package.zip) as entries:
        machines = {name: int.from_bytes(entries.read(name)[18:20], "little") for name in compiled}
    assert set(machines.values()) == {AARCH64}, machines
    assert package.sam()["Resources"]["Notify"]["Properties"]["Architectures"] == ["arm64"]


def test_zip_fits_into_lambda(package: packaged.Package) -> None:
    """Lambda refuses more than 250 MB unpacked, and takes no more than 50 MB without a bucket."""
    packing.require_lambda_size(package.zip)


def test_entries_are_sorted_and_undated(package: packaged.Package) -> None:
    """The order of a directory and the time of a checkout differ between machines."""
    with zipfile.ZipFile(package.zip) as entries:
        infos = entries.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {info.date_time for info in infos} == {packing.EPOCH}


@pytest.mark.skipif(
    "GONOGO_BUILDS" not in os.environ, reason="another build takes its time: make nightly has it"
)
def test_two_builds_are_the_same_bytes(package: packaged.Package, tmp_path: Path) -> None:
    """Who builds a release again must be able to see that it is that release."""
    project = tmp_path / "a project in another place"
    packing.copy_sources(packing.PROJECT, project)
    compiled = project / "gonogo" / "__pycache__"
    compiled.mkdir()
    (compiled / "left-over.pyc").write_bytes(b"from another machine")
    again = packing.package(tmp_path / "out", architecture="arm64", project=project)
    assert again.read_bytes() == package.template.read_bytes()
    assert again.with_name("deployment.zip").read_bytes() == package.zip.read_bytes()


def test_packing_says_which_pythons_lambda_runs(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """The Python that packs becomes the runtime, and AWS refuses an unknown one only after minutes."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 0, "final", 0))
    assert packing.main(["somewhere"]) == 1
    assert "3.10" in (said := capsys.readouterr().err)
    assert "3.11, 3.12" in said


def test_this_python_is_one_of_them() -> None:
    """Whoever runs the tests can also deploy."""
    packing.require_lambda_runtime(sys.version_info[:2])


def test_packing_refuses_what_chalice_leaves_out(tmp_path: Path, monkeypatch) -> None:
    """Chalice only warns of a requirement without a wheel, and what it made fails at its first import."""
    chalice = tmp_path / "chalice" / "cli"
    chalice.mkdir(parents=True)
    (chalice.parent / "__init__.py").touch()
    (chalice / "__init__.py").write_text(
        "import pathlib, sys\n"
        "def main():\n"
        "    out = pathlib.Path(sys.argv[-1]); out.mkdir(); (out / 'sam.yaml').write_text('{}')\n"
        "    print('\\nCould not install dependencies:\\nnumpy==1.0\\n')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(packing.PackagingError, match=r"numpy==1\.0"):
        packing.run_chalice(tmp_path, tmp_path / "out")


def test_packing_refuses_a_package_that_lambda_would(tmp_path: Path, monkeypatch) -> None:
    """The limit is found here, not by a deployment that fails after the upload."""
    monkeypatch.setattr(packing, "UNZIPPED_LIMIT", 10)
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as big:
        big.writestr("app.py", "x" * 11)
    with pytest.raises(packing.PackagingError, match="unzipped"):
        packing.require_lambda_size(tmp_path / "big.zip")
