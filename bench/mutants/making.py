"""A copy of the house in which one room, such as gonogo/core, holds all its mutants, and none is chosen."""

from __future__ import annotations

import ast
import difflib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import msgspec
from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name

HOUSE = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
DECORATORS = {"property", "cached_property", "lru_cache"}


class Mutant(msgspec.Struct, frozen=True):
    """One change: `module.function` of it, the lines before, and the lines after.

    `lines` are the first and the last of the statement that it changes, in the copy's file.
    """

    name: str
    module: str
    function: str
    before: str
    after: str
    lines: tuple[int, int]


class Made(msgspec.Struct, frozen=True):
    """A module that holds its mutants."""

    code: str
    mutants: tuple[Mutant, ...]


class _LongWay(cst.CSTTransformer):  # type: ignore[misc]  # libcst is not where mypy is
    """Writes `@property def f` as `def f` and `f = property(f)`: mutmut leaves out what has a decorator."""

    def leave_FunctionDef(  # noqa: N802 - libcst calls it
        self, _: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        if len(updated_node.decorators) != 1:
            return updated_node
        decorator = updated_node.decorators[0].decorator
        name = decorator.func if isinstance(decorator, cst.Call) else decorator
        if not isinstance(name, cst.Name) or name.value not in DECORATORS:
            return updated_node
        call = cst.Call(decorator, [cst.Arg(updated_node.name)])
        assign = cst.Assign([cst.AssignTarget(updated_node.name)], call)
        return cst.FlattenSentinel(
            [updated_node.with_changes(decorators=[]), cst.SimpleStatementLine([assign])]
        )


def make(room: Path, where: Path, kept: Path) -> list[Mutant]:
    """Make the copy, and return the mutants of a room; what is made of a module is kept until the module changes."""
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(HOUSE, where, symlinks=True, ignore=LEFT_OUT)
    kept.mkdir(parents=True, exist_ok=True)
    mutants: list[Mutant] = []
    for path in sorted((HOUSE / room).glob("*.py")):
        source = path.read_text()
        keep = kept / f"{path.stem}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"
        if not keep.exists():
            keep.write_bytes(msgspec.json.encode(_made(path, source)))
        made = msgspec.json.decode(keep.read_bytes(), type=Made)
        (where / room / path.name).write_text(made.code)
        mutants += made.mutants
    return mutants


def _made(path: Path, source: str) -> Made:
    made = mutate_file_contents(str(path), cst.parse_module(source).visit(_LongWay()).code)
    return Made(made.code, tuple(_mutants(path, made)))


def _mutants(path: Path, made: MutatedFile) -> Iterator[Mutant]:
    lines = made.code.splitlines()
    statement = _statements(made.code)

    def text_of(name: str) -> list[str]:
        span = made.line_span_by_function_name[name]
        return [line for line in lines[span.start - 1 : span.end] if name not in line]

    for name in made.mutant_names:
        function, _, _ = name.partition("__mutmut_")
        before, after = text_of(f"{function}__mutmut_orig"), text_of(name)
        first = made.line_span_by_function_name[f"{function}__mutmut_orig"].start
        changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
        yield Mutant(
            name=get_mutant_name(path.relative_to(HOUSE), name),
            module=path.stem,
            function=function.removeprefix("x_").strip("xǁ").replace("ǁ", "."),
            before=" ".join(line[2:].strip() for line in changed if line[0] == "-"),
            after=" ".join(line[2:].strip() for line in changed if line[0] == "+"),
            lines=statement[first + 1 + _first_difference(before, after)],
        )


def _first_difference(before: list[str], after: list[str]) -> int:
    pairs = enumerate(zip(before, after, strict=False))
    return next((place for place, (old, new) in pairs if old != new), len(before) - 1)


def _statements(code: str) -> dict[int, tuple[int, int]]:
    """Return of each line the lines of its statement: of one that holds others, those before the first of them."""
    found: dict[int, tuple[int, int]] = {}
    for node in ast.walk(ast.parse(code)):  # from the outermost in: the innermost is written last
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            span = node.lineno, max(last, node.lineno)
            found |= dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), span)
    return found
