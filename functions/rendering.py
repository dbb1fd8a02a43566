"""The templates: what is put into them is escaped, is visible whatever it is, and is never missing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from functions import wording

HERE = Path(__file__).parent / "templates"
LABEL = 10


@cache
def templates() -> Environment:
    """Return the templates, read when they are first used."""
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        anew=wording.anew,
        at_most=wording.at_most,
        capabilities=wording.capabilities,
        count=wording.count,
        deed=wording.deed,
        differences=wording.differences,
        gate_state=wording.gate_state,
        kind_of=wording.kind,
        leaves=wording.leaves,
        length=wording.length,
        length_of=len,
        lines=wording.lines,
        makes=wording.makes,
        makes_whole=wording.makes_whole,
        moment=wording.moment,
        money=wording.money,
        named=wording.named,
        pad=_pad,
        runs=wording.runs,
        so_far=wording.so_far,
        standing=wording.standing,
        title_of=wording.title,
        what=wording.what,
    )
    made.globals["verdicts"] = wording.VERDICTS
    return made


def inline(name: str) -> Markup:
    """Return a file of the templates as it is, to stand inside a page."""
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of ours


def _pad(label: str) -> str:
    """Return the label of a fact in a text mail, as wide as all of them."""
    return label.ljust(LABEL)


def _shown(value: Any) -> Any:
    """Make what somebody wrote visible; what a template made of it already is left alone."""
    if isinstance(value, Markup):
        return value
    if value is None:
        raise TypeError("a template shows nothing where there should be something")
    return wording.visible(str(value))
