"""Arrows point down only: who may know of whom, what the core may know, and what an import may do."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = {
    "app": ("functions",),
    "functions": ("functions", "gonogo.bootstrap", "gonogo.service", "gonogo.ports", "gonogo.core"),
    "gonogo.bootstrap": ("gonogo",),
    "gonogo.service": ("gonogo.service", "gonogo.ports", "gonogo.core"),
    "gonogo.aws": ("gonogo.aws", "gonogo.ports", "gonogo.core"),
    "gonogo.webhook": ("gonogo.ports", "gonogo.core"),
    "gonogo.oidc": ("gonogo.ports", "gonogo.core"),
    "gonogo.ports": ("gonogo.core",),
    "gonogo.core": ("gonogo.core",),
    # What users install: it speaks HTTP, and checks and publishes a policy where it is written.
    "gonogo.client": ("gonogo.core",),
    "gonogo.cli": (
        "gonogo.cli",
        "gonogo.client",
        "gonogo.service",
        "gonogo.aws",
        "gonogo.ports",
        "gonogo.core",
    ),
    "infra": ("infra", "app", "gonogo.core", "functions.openapi"),
}
"""Each room, and what of ours it may import; `gonogo` alone is the version, which all may."""

OURS = ("app", "bench", "examples", "functions", "gonogo", "infra", "local", "tests")

CORE_MAY_IMPORT = {
    "__future__", "base64", "collections", "contextlib", "dataclasses", "datetime", "decimal", "enum",
    "functools", "hashlib", "itertools", "json", "re", "tomllib", "types", "typing", "unicodedata", "zlib", "zoneinfo",
    "cedarpy", "jsonschema_rs", "msgspec", "rfc8785",
}  # fmt: skip

CLOCKS = {"now", "utcnow", "today", "fromtimestamp"}
OUTSIDE = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}


def modules(*rooms: str) -> list[str]:
    """Return the dotted names of all modules of these rooms."""
    found = []
    for room in rooms:
        base = ROOT / room.replace(".", "/")
        paths = sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]
        for path in paths:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append(name.removesuffix(".__init__"))
    return found


def source(module: str) -> Path:
    """Return where a module is written."""
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"


def tree(module: str) -> ast.Module:
    """Return a module's syntax."""
    return ast.parse(source(module).read_text(), module)


def imports(module: str, syntax: ast.Module) -> Iterator[str]:
    """Yield the dotted name of each module that a module imports, anywhere in it, relative ones resolved."""
    package = module if source(module).name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for one in node.names:
                whole = f"{base}.{one.name}"
                yield whole if source(whole).exists() else base


def within(name: str, room: str) -> bool:
    """Tell whether a module is in a room."""
    return name == room or name.startswith(room + ".")


def room_of(module: str) -> str:
    """Return the room that a module is in; the narrowest."""
    rooms = [room for room in LAYERS if within(module, room)]
    return max(rooms, key=len, default="")


HELD = [one for one in modules("app", "functions", "gonogo", "infra") if one != "gonogo"]


def test_every_module_is_in_a_room():
    """A new module must have a place from which it may know others, or it knows everybody."""
    assert [one for one in HELD if not room_of(one)] == []
    assert {room_of(one) for one in HELD} == set(LAYERS)


@pytest.mark.parametrize("module", HELD)
def test_arrows_point_down(module: str):
    """A room knows those below it only; nothing that is deployed knows of local/, tests or bench."""
    may = LAYERS[room_of(module)]
    wrong = [
        name
        for name in imports(module, tree(module))
        if name.split(".")[0] in OURS and name != "gonogo" and not any(within(name, one) for one in may)
    ]
    assert wrong == []


def test_the_test_sees_imports_of_every_form(tmp_path: Path):
    """An arrow that points up must be seen in whatever way it is written."""
    text = """
import local.bus, gonogo.aws.table as t
from gonogo import service
from gonogo.service import decide
from . import launch
from .. import ports
from ..aws.bus import Queue
def f():
    from local import stack
if TYPE_CHECKING:
    import tests.core.builders
"""
    del tmp_path
    assert list(imports("gonogo.core.gates", ast.parse(text))) == [
        "local.bus",
        "gonogo.aws.table",
        "gonogo.service",
        "gonogo.service.decide",
        "gonogo.core.launch",
        "gonogo.ports",
        "gonogo.aws.bus",
        *(["local.stack"] if source("local.stack").exists() else ["local"]),
        "tests.core.builders",
    ]


@pytest.mark.parametrize("module", modules("gonogo.core"))
def test_the_core_is_pure(module: str):
    """Values in, values out: no clock, no chance, no file, no network, no library that has them."""
    syntax = tree(module)
    strange = {name.split(".")[0] for name in imports(module, syntax)} - CORE_MAY_IMPORT - {"gonogo"}
    assert strange == set()
    for node in ast.walk(syntax):
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            assert called not in OUTSIDE, f"line {node.lineno}: {called}"
            last = called.rpartition(".")[2]
            assert last not in CLOCKS or "." not in called, f"line {node.lineno}: {called} reads a clock"


def dotted(node: ast.expr) -> str:
    """Return a name with its dots, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported: all but the bodies of functions."""
    yield node
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and name == "body":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from at_import(child)


def reads_the_environment(node: ast.AST) -> bool:
    """Tell whether a piece of syntax reads the environment."""
    if isinstance(node, ast.Attribute):
        return dotted(node) in {"os.environ", "os.getenv", "os.environb"}
    return isinstance(node, ast.Name) and node.id in {"environ", "getenv"}


def makes_a_client(node: ast.AST) -> bool:
    """Tell whether a piece of syntax makes something that can call AWS."""
    if not isinstance(node, ast.Call):
        return False
    called = dotted(node.func)
    return called.split(".")[0] in {"boto3", "botocore"} or called.rpartition(".")[2] in {
        "client",
        "resource",
        "Session",
        "TableConnection",
        "gonogo",
    }


@pytest.mark.parametrize("module", HELD)
def test_an_import_reads_nothing_and_connects_to_nothing(module: str):
    """Settings are read once, by bootstrap, when asked; a cold start pays for no client in vain."""
    found = [node for node in at_import(tree(module)) if reads_the_environment(node) or makes_a_client(node)]
    assert [ast.unparse(node) for node in found] == []


def test_only_bootstrap_and_the_command_line_read_the_environment():
    """A setting that is read somewhere else is a setting that nobody finds."""
    readers = {
        room_of(module)
        for module in HELD
        if any(reads_the_environment(node) for node in ast.walk(tree(module)))
    }
    assert readers <= {"gonogo.bootstrap", "gonogo.cli", "infra"}


def test_everything_can_be_imported_with_an_empty_environment():
    """Whatever runs at import must need no setting, no credentials and no AWS."""
    script = """
import importlib, sys
import boto3, botocore.session, socket
def no(*_args, **_more):
    raise SystemExit("an import reached out")
boto3.client = boto3.resource = botocore.session.Session.create_client = socket.socket.connect = no
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    names = [one for one in HELD if not one.startswith("infra") and not one.endswith("__main__")]
    done = subprocess.run(
        [sys.executable, "-c", script, *names],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
