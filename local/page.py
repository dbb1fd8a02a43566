"""The pages of local/: the one that a new user lands on, one mail, and the one that asks who somebody is."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from gonogo.core.bundle import Person
from local.mailbox import Mail

TEMPLATES = Path(__file__).parent / "templates"
SCRIPT = Markup((TEMPLATES / "front.js").read_text())  # noqa: S704  ours
"""Reloads the front page when there is new mail, unless somebody is copying from it."""

BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
LINK = re.compile(r"https?://[^\s<>\"]+")


class Step(NamedTuple):
    """One thing to do next: what it is for, and the command to copy."""

    title: str
    command: str


class Machine(NamedTuple):
    """One instance that was launched here."""

    id: str
    type: str
    state: str


class View(NamedTuple):
    """What the front page shows besides the mails."""

    url: str
    aws_url: str
    bus: str
    topic: str
    now: str
    people: Sequence[Person]
    secrets: Mapping[str, str]
    machines: Sequence[Machine]
    steps: Sequence[Step]


def front(view: View, mails: Sequence[Mail]) -> str:
    """Return the page that a new user lands on, newest mail first."""
    return _template("front.html").render(view=view, mails=list(reversed(mails)), script=SCRIPT)


def authorize(asked: Mapping[str, str], people: Sequence[Person]) -> str:
    """Return the page that asks who somebody is; `asked` are the fields that it hands on."""
    return _template("authorize.html").render(asked=asked, people=people)


def mail(found: Mail) -> str:
    """Return one mail as its receiver would see it, under a line that leads back."""
    head = _template("mail_head.html").render(mail=found)
    if not found.html:
        safe = Markup(head)  # noqa: S704  its template has escaped what is not ours
        return _template("mail_text.html").render(mail=found, head=safe, text=_with_links(found.text))
    body = BODY.search(found.html)
    at = body.end() if body else 0
    return found.html[:at] + head + found.html[at:]


def _with_links(text: str) -> Markup:
    parts: list[str] = []
    end = 0
    for link in LINK.finditer(text):
        parts += [escape(text[end : link.start()]), Markup('<a href="{0}">{0}</a>').format(link[0])]
        end = link.end()
    return Markup("").join([*parts, escape(text[end:])])


@cache
def _template(name: str) -> Template:
    loader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)
