"""Which characters nobody sees, or steer what shows them: where people decide by a text, these are written out."""

from __future__ import annotations

import unicodedata

_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0D),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
"""Characters that draw nothing though their category does not say so (Unicode, Default_Ignorable_Code_Point,
and the blank Braille pattern). U+FE0E and U+FE0F, which only choose how a sign is drawn, are let through."""


def is_unseen(character: str) -> bool:
    """Tell whether a character is not seen, or steers what shows it: escapes, overrides, zero widths, fillers."""
    code = ord(character)
    return unicodedata.category(character) in _CATEGORIES or any(
        low <= code <= high for low, high in _IGNORABLE
    )
