"""What an HTML page offers to whoever presses and fetches: forms, links, what it loads, and what is read of it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
UNREAD = frozenset({"script", "style", "template", "head"})
TYPED = frozenset({"text", "search", "email", "password", "tel", "url", "number", "textarea"})


class Field(NamedTuple):
    """One control of a form; `options` are what a select or a group of radios offers."""

    name: str
    kind: str
    value: str
    options: tuple[str, ...] = ()

    @property
    def is_typed(self) -> bool:
        """Tell whether a person writes into it."""
        return self.kind in TYPED


class Form(NamedTuple):
    """A form: where it goes, how, what it sends, and the buttons that have something to say of their own."""

    method: str
    action: str
    fields: tuple[Field, ...]
    buttons: tuple[tuple[str, str], ...]


class Page(HTMLParser):
    """A page, read once."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self._said: list[str] = []
        self._silent = 0
        self._form: tuple[str, str, list[Field], list[tuple[str, str]]] | None = None
        self._select: tuple[str, list[str]] | None = None
        self.feed(text)
        self.close()
        self._end_form()

    @property
    def text(self) -> str:
        """What a person reads, blanks made one."""
        return " ".join(" ".join(self._said).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of what there is to press, to fill and to fetch."""
        has = {name: value or "" for name, value in attrs}
        if tag in UNREAD:
            self._silent += 1
        if tag in ("a", "area") and has.get("href"):
            self.links.append(has["href"])
        if tag == "link" and has.get("href"):
            self.loads.append(has["href"])
        if tag == "meta" and has.get("property", has.get("name", "")).endswith(("image", "image:url", "url")):
            self.loads.append(has.get("content", ""))
        if tag == "meta" and has.get("http-equiv", "").lower() == "refresh" and "=" in has.get("content", ""):
            self.links.append(has["content"].partition("=")[2].strip("'\" "))
        if tag in LOADED and has.get(LOADED[tag]):
            self.loads.append(has[LOADED[tag]])
        if tag == "form":
            self._end_form()
            self._form = (has.get("method", "get").upper(), has.get("action", ""), [], [])
        self._control(tag, has)

    def _control(self, tag: str, has: dict[str, str]) -> None:
        if self._form is None:
            return
        _, _, fields, buttons = self._form
        name, kind = has.get("name", ""), has.get("type", "text").lower()
        if tag == "button" or (tag == "input" and kind in ("submit", "image", "button")):
            buttons.append((name, has.get("value", "")))
        elif tag == "input" and kind != "reset":
            fields.append(Field(name, kind, has.get("value", "on" if kind in ("checkbox", "radio") else "")))
        elif tag == "textarea":
            fields.append(Field(name, "textarea", ""))
        elif tag == "select":
            self._select = (name, [])
        elif tag == "option" and self._select is not None:
            self._select[1].append(has.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        """Close what was open."""
        if tag in UNREAD:
            self._silent = max(0, self._silent - 1)
        if tag == "select" and self._select is not None and self._form is not None:
            name, options = self._select
            self._form[2].append(Field(name, "select", options[0] if options else "", tuple(options)))
            self._select = None
        if tag == "form":
            self._end_form()

    def handle_data(self, data: str) -> None:
        """Read what a person reads."""
        if not self._silent:
            self._said.append(data)

    def _end_form(self) -> None:
        if self._form is not None:
            method, action, fields, buttons = self._form
            self.forms.append(Form(method, action, tuple(fields), tuple(buttons)))
            self._form = None
