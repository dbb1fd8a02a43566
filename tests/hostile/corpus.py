"""Our own corpus: what somebody writes into a field who means harm, or whose keyboard does."""

from __future__ import annotations

import os
import random
import unicodedata
from typing import Any

PLAIN = "a page for the fair"
TEXTS: dict[str, str] = {
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "attribute": "' onmouseover='alert(1)' x='",
    "end of textarea": "</textarea></bdi></dd><form action=//x><input name=answer value=GO>",
    "comment": "--><!--<b>",
    "CDATA": "]]><![CDATA[<b>",
    "entity": "&lt;b&gt;&#x3c;i&#x3e;&amp;",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
    "link": "javascript:alert(1)//https://elsewhere.example/decide#gng_x",
    "markdown": "[GO](https://elsewhere.example) ![x](https://elsewhere.example/x.png)",
    "chat": "<!channel> <https://elsewhere.example|GO> @everyone",
    "header": "x\r\nBcc: all@example.com\r\n\r\n<h1>",
    "header, line feed": "x\nBcc: all@example.com",
    "header, encoded": "=?utf-8?q?GO=0D=0ABcc=3A_all=40example=2Ecom?=",
    "MIME boundary": "--=_gonogo\nContent-Type: text/html\n\n<b>",
    "SMTP end": "x\r\n.\r\nMAIL FROM:<a@b>",
    "formula": '=HYPERLINK("https://elsewhere.example?"&A1,"GO")',
    "formula, plus": "+1+cmd|' /C calc'!A0",
    "formula, minus": "-2+3+cmd|' /C calc'!A0",
    "formula, at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula, tab": "\t=1+1",
    "quotes": '"\'`,;\\""',
    "right to left": "pay 100\u202e001 yap",
    "isolates": "a\u2066b\u2067c\u2068d\u2069",
    "embeddings": "\u202aa\u202bb\u202c\u202d",
    "marks": "\u200ea\u200f\u061c",
    "zero width": "a\u200bd\u200cm\u200di\ufeffn",
    "soft hyphen": "ad\u00admin",
    "tags": "a\U000e0041\U000e0042",
    "fillers": "\u3164\u115f\u1160\uffa0\u2800",
    "variation": "a\ufe00\U000e0100",
    "separators": "a\u2028b\u2029c\u0085d",
    "control": "a\x1b[2J\x1b]0;x\x07b\x9b31m\x08\x08\x7f",
    "NUL": "a\x00b",
    "private": "\ue000\U0010ffff\ufffe",
    "lone surrogate": "a\ud800b",
    "low surrogate": "\udfffa",
    "decomposed": "e\u0301\u0301\u0301\u212b\ufb01\u2126",
    "compatibility": "\uff27\uff2f \u210c \u2460 \u017f",
    "homoglyphs": "\u0430dmin l\u0435ad",
    "combining": "a" + "\u0300" * 200,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308",
    "long": "x" * 5000,
    "huge": "\u00e4" * 90_000,
    "no blanks": "W" * 900,
    "path": "../../etc/passwd\\..\\..",
    "percent": "%00%0d%0aSet-Cookie:%20a=b%2e%2e%2f",
    "SQL": "'; DROP TABLE launches; -- ",
    "expression": "#pk = :pk OR attribute_exists(pk)",
    "LDAP": "*)(uid=*))(|(uid=*",
    "Cedar": '") || true; permit (principal, action, resource); //',
    "format": "%s%n%x{0}{0.__class__}",
    "number": "1e309",
    "blank": " ",
    "empty": "",
}
"""Text by name; those with a lone surrogate are no Unicode, and JSON can spell them all the same."""
OTHERS: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus": -1,
    "beyond double": 2**53 + 1,
    "beyond 64 bits": 2**64,
    "very many digits": 10**400,
    "part": 0.1,
    "minus zero": -0.0,
    "large": 1e308,
    "list": [],
    "object": {},
    "list of lists": [[[[]]]],
    "its own name": {"$ref": "#/components/schemas/Submit"},
    "prototype": {"__proto__": {"admin": True}, "constructor": {"prototype": {}}},
    "operator": {"$gt": ""},
    "many": ["x"] * 2000,
}
RAW: dict[str, bytes] = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "beyond all numbers": b"1e999",
    "no Unicode": b'"\xff\xfe"',
    "overlong": b'"\xc0\xaf"',
    "surrogates as UTF-8": b'"\xed\xa0\x80"',
    "half an escape": b'"\\ud83d"',
    "deep list": b"[" * 40 + b"]" * 40,
    "deepest list": b"[" * 60_000,
    "deep object": b'{"a":' * 40 + b"1" + b"}" * 40,
    "deepest object": b'{"a":' * 30_000,
    "digits": b"9" * 6000,
    "leading zero": b"01",
    "control in a text": b'"a\nb"',
    "twice inside": b'{"a":1,"a":2}',
    "comment": b"/**/1",
}
"""JSON, or nearly, as bytes."""
HEADERS = {
    "empty": "",
    "blank": "  ",
    "long": "x" * 9000,
    "control": "a\x01\x7fb",
    "Latin-1": "\u00e4\u00ff",
    "comma": "a,b",
    "quotes": "\"'<b>",
    "bearer twice": "Bearer a Bearer b",
    "dots": "Bearer " + "." * 50,
    "none": 'Bearer {"alg":"none"}',
    "basic": "Basic ZGV2OmRldg==",
}

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
DRAWN_BY_US = frozenset("\n")


def unseen(text: str) -> set[str]:
    """Return the characters of a text that nobody who reads it sees, or that steer what shows it."""
    blanks = "\u3164\u115f\u1160\uffa0\u2800\u034f"
    return {
        f"U+{ord(one):04X}"
        for one in text
        if one not in DRAWN_BY_US and (unicodedata.category(one) in UNSEEN or one in blanks)
    }


def many(name: str, short: int, long: int) -> int:
    """Return how often to try, from the environment: `long` in `make soak`, `short` where nothing is said."""
    said = os.environ.get(name, "")
    return long if said == "all" else int(said or short)


def seed() -> int:
    """Return the seed of this run: GONOGO_SEED, or one that nobody chose; it is printed at the end."""
    return int(os.environ.get("GONOGO_SEED") or random.SystemRandom().randrange(2**32))
