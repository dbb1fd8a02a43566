"""A policy bundle as it lies in a folder: which files are of it, and their text."""

from __future__ import annotations

from pathlib import Path

from gonogo.core.bundle import BUDGETS, FILES, STACKS
from gonogo.core.errors import BundleRefusedError, Fault

OPTIONAL = (BUDGETS, "tests.toml")
TEMPLATES = "templates"


def read(folder: Path) -> dict[str, str]:
    """Return the files of the bundle: relative path with `/` to text, with line feeds between lines.

    Raises:
        BundleRefusedError: a file cannot be read, or is not UTF-8.
    """
    paths = [folder / name for name in (*FILES, *OPTIONAL)]
    paths = [path for path in paths if path.exists()] + sorted((folder / TEMPLATES).glob("*.toml"))
    paths += sorted(path for path in (folder / STACKS).glob("[!.]*") if path.is_file())
    files: dict[str, str] = {}
    faults: list[Fault] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            files[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            faults.append(Fault(name, "utf-8", f"is not UTF-8 at byte {error.start}"))
        except OSError as error:
            faults.append(Fault(name, "readable", f"cannot be read: {error.strerror}"))
    if faults:
        raise BundleRefusedError(*faults)
    return files


def left_out(folder: Path, files: dict[str, str]) -> list[str]:
    """Return the files that lie in the folder and are not of the bundle; hidden ones aside."""
    lying = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    shown = (path.as_posix() for path in lying if not any(part.startswith(".") for part in path.parts))
    return sorted(set(shown) - set(files))
