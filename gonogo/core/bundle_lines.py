"""On which line of a bundle's file something stands, so that a fault leads whoever mends it to the place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cached_property

Key = str | int

_TOML = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|"
    r"(?P<comment>#[^\n]*)|\n|[\[\]{}=,.]|[^\s\[\]{}=,.#\"']+",
    re.DOTALL,
)
_DEPTH = {"[": 1, "{": 1, "]": -1, "}": -1}
_CEDAR = re.compile(r'(?P<comment>//[^\n]*)|"(?:\\.|[^"\\])*"|;|[^\s;"/]+|/', re.DOTALL)


class TomlFile:
    """A file of TOML: `at("lead", "quorum")` is `gates.toml:5`, or where the nearest that it has stands."""

    def __init__(self, path: str, text: str) -> None:
        """Take where it lies, and its text, which is read only if a line is asked for."""
        self.path = path
        self._text = text

    def at(self, *keys: Key) -> str:
        """Return `file:line` of a table or key, of what holds it where it is not there, or just the file."""
        for length in range(len(keys), 0, -1):
            line = self._lines.get(keys[:length])
            if line is not None:
                return f"{self.path}:{line}"
        return self.path

    def at_error(self, error: tomllib.TOMLDecodeError) -> str:
        """Return `file:line` of what is no TOML, by the words of the error (tomllib gives no number)."""
        found = re.search(r"at line ([0-9]+)", str(error))
        line = int(found[1]) if found else max(1, len(self._text.rstrip().splitlines()))
        return f"{self.path}:{line}"

    @cached_property
    def _lines(self) -> dict[tuple[Key, ...], int]:
        """The line of each table and key, by its path; numbers count the tables of an array."""
        lines: dict[tuple[Key, ...], int] = {}
        counts: dict[tuple[Key, ...], int] = {}
        table: tuple[Key, ...] = ()
        for line, words in _heads(self._text):
            if words[0] != "[":
                lines.setdefault(table + _keys(words), line)
                continue
            names = _keys([word for word in words if word not in ("[", "]")])
            table = ()
            for name in names[:-1]:
                table += (name,)
                if table in counts:
                    table += (counts[table],)
            table += (names[-1],)
            if words[1] == "[":
                lines.setdefault(table, line)
                counts[table] = counts.get(table, -1) + 1
                table += (counts[table],)
            lines.setdefault(table, line)
        return lines


def _heads(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each key and table header of valid TOML, with its words; values are passed over."""
    line, depth = 1, 0
    words: list[str] = []
    in_value = False
    for match in _TOML.finditer(text):
        word = match[0]
        if word == "\n":
            line += 1
            if not in_value and words:
                yield line - 1, words
            if not in_value or depth == 0:
                words, in_value, depth = [], False, 0
            continue
        if match["comment"] is not None:
            continue
        if in_value:
            depth += _DEPTH.get(word, 0)
        elif word == "=":
            yield line, words
            words, in_value = [], True
        else:
            words.append(word)
        line += word.count("\n")
    if words:
        yield line, words


def _keys(words: list[str]) -> tuple[Key, ...]:
    """Return the keys that are written with dots between; bare keys may be digits with dots between too."""
    return tuple(next(iter(tomllib.loads(f"{word} = 0"))) for word in words if word != ".")


class CedarFile:
    """A file of Cedar policies, or of a schema: where each of its statements stands."""

    def __init__(self, path: str, text: str) -> None:
        """Take where it lies, and its text."""
        self.path = path
        self._text = text

    @cached_property
    def statements(self) -> list[tuple[str, str]]:
        """`file:line` of each statement, which ends with a semicolon, and its text."""
        found: list[tuple[str, str]] = []
        start: int | None = None
        for match in _CEDAR.finditer(self._text):
            if match["comment"] is not None:
                continue
            if start is None:
                start = match.start()
            if match[0] == ";":
                found.append((self._line(start), self._text[start : match.end()]))
                start = None
        if start is not None:
            found.append((self._line(start), self._text[start:]))
        return found

    def at(self, policy: str) -> str:
        """Return `file:line` of a policy by Cedar's name for it, policy0, policy1 and so on."""
        number = policy.removeprefix("policy")
        known = number.isdecimal() and int(number) < len(self.statements)
        return self.statements[int(number)][0] if known else self.path

    def at_word(self, *words: str) -> str:
        """Return `file:line` of the first statement that says all the words, or just the file."""
        return next(
            (
                where
                for where, text in self.statements
                if all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words)
            ),
            self.path,
        )

    def _line(self, position: int) -> str:
        return f"{self.path}:{self._text[:position].count(chr(10)) + 1}"
