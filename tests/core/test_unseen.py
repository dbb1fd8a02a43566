"""What nobody sees: written out, where people decide by a text."""

from __future__ import annotations

import pytest

from gonogo.core.unseen import is_unseen


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0D),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    ],
    ids=hex,
)
def test_fillers_are_unseen_from_the_first_to_the_last(first: int, last: int):
    """One filler that slips through makes two texts that read the same and are not."""
    assert all(is_unseen(chr(one)) for one in range(first, last + 1))


@pytest.mark.parametrize("character", "\0\x1b\x7f\u200b\u202e\u2066\ufeff\u2028\u2029\ud800\ue000\U000e0001")
def test_what_steers_a_text_is_unseen(character: str):
    """An override or an escape makes a reader see another text than the one that is approved."""
    assert is_unseen(character)


@pytest.mark.parametrize("character", "aZ0 é字🚀́\u0350\u115e\u1161\u2801\ufe0e\ufe0f\uff9f")
def test_what_is_seen_is_left_alone(character: str):
    """Text in any script must be shown as it is, signs and accents included."""
    assert not is_unseen(character)
