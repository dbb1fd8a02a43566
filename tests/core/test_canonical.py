"""One byte string for one value: what is digested cannot be written in two ways, nor two things in one."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.core import canonical
from gonogo.core.errors import InvalidError
from tests.core.builders import question


def sha(text: str) -> str:
    """Return the digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def test_rfc_8785_sample():
    """RFC 8785, section 3.2.2: literals, strings and numbers have one form."""
    value = json.loads(
        r"""{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"""
    )
    form = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )
    assert canonical.digest(value) == sha(form)


def test_rfc_8785_order():
    """RFC 8785, section 3.2.3: keys are sorted by UTF-16 code units, so an emoji stands before U+FB33."""
    names = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    form = (
        "{"
        + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{json.dumps(names[key])}" for key in order)
        + "}"
    )
    assert canonical.digest(names) == sha(form)


@pytest.mark.parametrize(
    ("bits", "form"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_rfc_8785_numbers(bits: str, form: str):
    """RFC 8785, appendix B: a double has one text, whatever wrote it."""
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.digest(number) == sha(form)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 2**53, -(2**53), "\ud800", {1: 2}]
)
def test_no_canonical_form_is_invalid(value: Any):
    """What two readers of JSON could read differently is refused, not digested."""
    with pytest.raises(InvalidError) as raised:
        canonical.digest([value])
    (fault,) = raised.value.faults
    assert (fault.pointer, fault.rule) == ("", "canonical")
    assert re.match(r"has no canonical JSON form: \S", fault.detail)


def test_order_of_keys_changes_nothing():
    """A digest survives every store that keeps maps in an order of its own."""
    forms = {
        canonical.digest(dict(order)) for order in itertools.permutations([("a", 1), ("b", [2]), ("c", {})])
    }
    assert len(forms) == 1


def test_question_keeps_its_digest_in_the_store():
    """The launcher recomputes the digest from what it reads, so writing and reading must not change it."""
    asks = question(count=3)
    again = msgspec.json.decode(msgspec.json.encode(asks), type=type(asks))
    assert again.digest == asks.digest


def test_decimals_and_times_are_text():
    """Money must not pass through a double on its way into the digest."""
    value = {"money": Decimal("0.10"), "at": datetime(2026, 11, 2, 9, tzinfo=UTC)}
    assert canonical.digest(value) == sha('{"at":"2026-11-02T09:00:00Z","money":"0.10"}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab",), ("a", "b")),
        (("a", ""), ("", "a")),
        (("a",), ("a", "")),
        ((), ("",)),
        (("\0",), ("", "")),
        ((b"\0\0\0\0\0\0\0\1a",), ("a",)),
    ],
)
def test_parts_do_not_run_together(one: tuple[str | bytes, ...], other: tuple[str | bytes, ...]):
    """A subject that ends like another's key begins must not make the same id."""
    assert canonical.fingerprint(*one) != canonical.fingerprint(*other)


@given(st.lists(st.binary(max_size=12), max_size=4), st.lists(st.binary(max_size=12), max_size=4))
def test_fingerprint_tells_lists_apart(one: list[bytes], other: list[bytes]):
    """However parts are cut, two lists of them have one fingerprint only if they are the same."""
    assert (canonical.fingerprint(*one) == canonical.fingerprint(*other)) == (one == other)


def test_text_is_its_utf8():
    """A part may be given as text or as its bytes: that is the same part."""
    assert canonical.fingerprint("ä") == canonical.fingerprint("ä".encode())
