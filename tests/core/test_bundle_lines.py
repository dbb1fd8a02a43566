"""The line of whatever stands in a file of TOML or Cedar, in every way in which it may be written there."""

from __future__ import annotations

import tomllib

import pytest

from gonogo.core.bundle_lines import CedarFile, Key, TomlFile

TOML = r"""
bare = 1  # a = 2
"quoted" = { inner = 1, other = [2] }
'literal' = {3}
bare = 3
[table]
{3}
dotted."key.of".parts = '''  # [[x]]
not_yet = 4'''
1.2 = "a # b"
rows = [
  [ "bare" ],  # ]
  [ { bare = 1 } ], [
  ]
]
after = 2026-11-02

  [ table . "sub table" ]
bare = 5
[table]
x.y = 6
x.z = 7
[[list]]
name = "first"
[list.sub]
key = 8
[[list]]
name = "second"
[list.sub]
key = 9
[[list.deep]]
a = 1
[[list.deep]]
a = 2
[list.deep.more]
b = 3
[[list]]
[list.sub]
[[other]]
[other.sub]
key = 10
last = [1,
2]""".replace("{3}", '"' * 3)
LINES: dict[tuple[Key, ...], int] = {
    ("bare",): 2,
    ("quoted",): 3,
    ("quoted", "inner"): 3,
    ("literal",): 4,
    ("dotted", "key.of", "parts"): 8,
    ("1", "2"): 10,
    ("rows",): 11,
    ("rows", 1, 0, "bare"): 11,
    ("after",): 16,
    ("table", "sub table"): 18,
    ("table", "sub table", "bare"): 19,
    ("table", "sub table", "none"): 18,
    ("table",): 20,
    ("table", "bare"): 20,
    ("table", "x", "y"): 21,
    ("table", "x", "z"): 22,
    ("list",): 23,
    ("list", 0): 23,
    ("list", 0, "name"): 24,
    ("list", 0, "sub"): 25,
    ("list", 0, "sub", "key"): 26,
    ("list", 1): 27,
    ("list", 1, "name"): 28,
    ("list", 1, "sub", "key"): 30,
    ("list", 1, "deep"): 31,
    ("list", 1, "deep", 0, "a"): 32,
    ("list", 1, "deep", 1): 33,
    ("list", 1, "deep", 1, "a"): 34,
    ("list", 1, "deep", 1, "more", "b"): 36,
    ("list", 2): 37,
    ("list", 2, "sub"): 38,
    ("list", 2, "deep"): 37,
    ("list", 3): 23,
    ("other", 0, "sub", "key"): 41,
    ("other", 0, "sub", "last"): 42,
}


def test_each_key_of_toml_has_its_line():
    """Values may look like keys and tables: they are none."""
    assert tomllib.loads(TOML)["list"][1]["deep"][1]["more"] == {"b": 3}
    file = TomlFile("x.toml", TOML)
    assert {keys: file.at(*keys) for keys in LINES} == {
        keys: f"x.toml:{line}" for keys, line in LINES.items()
    }
    assert file.at() == file.at("none") == file.at("1.2") == "x.toml"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \nc = 3\n", 2),
        ("a = 1\n[b\nc = 3\n\n", 2),
        ("a = 1\nb = [\n\n\n", 2),
        ("b = [", 1),
    ],
)
def test_what_is_no_toml_has_a_line(text: str, line: int):
    """What is open at the end of the file is led to by its last line that says something."""
    with pytest.raises(tomllib.TOMLDecodeError) as raised:
        tomllib.loads(text)
    assert TomlFile("x.toml", text).at_error(raised.value) == f"x.toml:{line}"


CEDAR = """
// permit;
@id("a;b // c")
permit (principal, action, resource); forbid
(principal, action, resource) when { "\\";" == "/" } // ;
;

entity Gate
  tags String"""


def test_each_statement_of_cedar_has_its_line():
    """Cedar numbers policies, and says no line: a semicolon in a text or in a remark ends none of them."""
    file = CedarFile("x.cedar", CEDAR)
    assert [where for where, _ in file.statements] == ["x.cedar:3", "x.cedar:4", "x.cedar:8"]
    assert [text.split("\n")[0] for _, text in file.statements] == [
        '@id("a;b // c")',
        "forbid",
        "entity Gate",
    ]
    assert file.statements[2][1] == "entity Gate\n  tags String"
    assert [file.at(f"policy{name}") for name in ("0", "1", "2", "3", "", "x")] == [
        "x.cedar:3",
        "x.cedar:4",
        "x.cedar:8",
        "x.cedar",
        "x.cedar",
        "x.cedar",
    ]


def test_words_lead_to_the_statement_that_has_all_of_them():
    """A part of a word is another word."""
    file = CedarFile("x.cedar", CEDAR)
    assert file.at_word("principal") == "x.cedar:3"
    assert file.at_word("principal", "forbid") == "x.cedar:4"
    assert file.at_word("tags", "Gate") == "x.cedar:8"
    assert file.at_word("Gat") == file.at_word("ags") == file.at_word("tags", "forbid") == "x.cedar"
    assert file.at_word("a;b") == "x.cedar:3"


def test_the_first_statement_may_stand_in_the_first_line():
    """A file without a head has lines too, and an empty one has no statements."""
    assert CedarFile("x.cedar", "permit;\nforbid;").at("policy0") == "x.cedar:1"
    assert CedarFile("x.cedar", "// nothing").statements == []
