"""What is taken from somebody and shown to others: on pages, in mails and on terminals it is text that is seen."""

from __future__ import annotations

import email
import email.policy
import random
from collections.abc import Callable, Collection, Mapping
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest

from functions import mails, pages
from functions.wording import Differs
from gonogo.core import commands
from gonogo.core.actor import Actor
from gonogo.core.bundle import Person
from gonogo.core.launch import Launch
from gonogo.core.plan import POLICY_ENGINE, Plan
from gonogo.service.notify import Notice
from tests.cli.shell import Gateway, Shell
from tests.core import builders
from tests.core.builders import ISSUER, SCANNER
from tests.functions import notices
from tests.functions.matrix import FILES, code_of
from tests.functions.test_pages import Page
from tests.functions.world import World, world
from tests.hostile.corpus import PLAIN, TEXTS, many, seed, unseen

SPOKEN = frozenset(
    {
        "reason",
        "name",
        "comment",
        "text",
        "title",
        "subject",
        "why",
        "passed",
        "message",
        "detail",
        "cost_center",
        "before",
        "after",
    }
)
"""The fields that somebody may write freely, or whose rules another version of us may have had."""
SEED = seed()
UNICODE = {name: text for name, text in TEXTS.items() if "surrogate" not in name and text.strip()}
LINES = frozenset({"name", "title", "subject", "cost_center"})
"""Those that have one line, and 100 characters."""


FEW, SOME = 6, 16
"""How many texts in each mail, and on pages and terminals, where GONOGO_TEXTS does not say `all`."""
ALWAYS = ("header, encoded", "script", "right to left")


def chosen(number: int, names: Collection[str] = UNICODE) -> list[str]:
    """Return the names of texts to try: some that chance chooses, or all."""
    count = many("GONOGO_TEXTS", number, len(names))
    others = [name for name in names if name not in ALWAYS]
    return [*ALWAYS, *random.Random(SEED).sample(others, max(0, min(count, len(names)) - len(ALWAYS)))]


def spoiled(value: Any, text: str) -> Any:
    """Return a value with this text in every field that people write, as long as it may be there."""
    if isinstance(value, msgspec.Struct):
        changed = {
            name: text[: 100 if name in LINES else 1000]
            if name in SPOKEN and isinstance(inner, str) and not _is_gate(value, name)
            else spoiled(inner, text)
            for name, inner in ((one, getattr(value, one)) for one in value.__struct_fields__)
        }
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, Mapping):
        if str(value.get("path", "")).startswith(("price.", "lease", "launch_by")):
            return value  # an amount or a time, which stands in no words
        return {
            key: text[:1000] if key in SPOKEN - {"name"} and isinstance(inner, str) else spoiled(inner, text)
            for key, inner in value.items()
        }
    if isinstance(value, tuple | list):
        return type(value)(spoiled(one, text) for one in value)
    return value


def _is_gate(value: msgspec.Struct, name: str) -> bool:
    """Tell whether it is a gate's name, by which it is found, or an actor's subject, by which people are."""
    kind = type(value).__name__
    return (kind == "Gate" and name in ("name", "why")) or (kind in ("Actor", "Person") and name == "subject")


def structure(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return a page's elements with the names of their attributes; how many lines a text has does not matter."""
    return [
        (tag, tuple(sorted(attributes)))
        for tag, attributes in Page(html).elements
        if tag not in ("br", "span") and tag != "small"
    ]


def as_sent(notice: Notice) -> EmailMessage:
    """Return a notice as a mail program reads it."""
    raw = mails.render(notice, "gonogo@example.com")
    raw.decode("ascii")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    return email.message_from_bytes(raw, policy=email.policy.default)


def parts(mail: EmailMessage) -> tuple[str, str]:
    """Return the text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return str(text.get_content()).replace("\r\n", "\n"), str(html.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("case", notices.CASES)
def test_no_text_is_more_than_text_in_a_mail(case: str) -> None:
    """In each mail there is: the same headers, parts and elements whatever was written, and all of it is seen."""
    good = notices.CASES[case]()
    plain = as_sent(spoiled(good, PLAIN))
    elements = structure(parts(plain)[1])
    for name in chosen(FEW):
        text = UNICODE[name]
        mail = as_sent(spoiled(good, text))
        assert sorted(mail.keys()) == sorted(plain.keys()), f"GONOGO_SEED={SEED}: {name}"
        assert [one.get_content_type() for one in mail.walk()] == [
            one.get_content_type() for one in plain.walk()
        ]
        for header, value in mail.items():
            assert not unseen(str(value)), f"{name}: {header}"
        body, html = parts(mail)
        assert not unseen(body), name
        assert not unseen(html), name
        assert structure(html) == elements, name


def strangely(value: Any, text: str) -> Any:
    """Return a value as `spoiled`, and with this text for whoever acts, and for what is a parameter, too."""
    if isinstance(value, Actor):
        return Actor(value.issuer, text[:255])
    if isinstance(value, Plan):
        return msgspec.structs.replace(value, parameters={text[:100]: text[:1000], "deep": {"list": [text]}})
    if isinstance(value, msgspec.Struct):
        fields = {name: strangely(getattr(value, name), text) for name in value.__struct_fields__}
        return spoiled(msgspec.structs.replace(value, **fields), text)
    return type(value)(strangely(one, text) for one in value) if isinstance(value, tuple) else value


def _of_policy(launch: Launch) -> Launch:
    """Return the launch as one of another policy, whose page shows what differs."""
    asked = launch.question
    plan = msgspec.structs.replace(asked.plan, engine=POLICY_ENGINE, spec={"files": ["gates.toml"]})
    return msgspec.structs.replace(launch, question=msgspec.structs.replace(asked, plan=plan))


def told(text: str) -> dict[str, dict[str, Any]]:
    """Return what each page is told that shows what others wrote, with this text wherever it can be."""
    scanned = builders.launch(builders.hook(), builders.gate("lead", quorum=3))
    scanned = commands.note(
        scanned, gate="scan", actor=SCANNER, text="x", eligible=frozenset({SCANNER}), at=builders.AT
    )
    launch = builders.approve(builders.launch(builders.gate(quorum=3)), builders.LEAD)
    own = msgspec.structs.replace(launch.gates[0].decisions[0], comment="x", instead_of=builders.LEAD2)
    gate = msgspec.structs.replace(launch.gates[0], decisions=(own,))
    noted = msgspec.structs.replace(gate, notes=scanned.gate("scan").notes)
    launch = strangely(msgspec.structs.replace(launch, gates=(noted, gate)), text)
    person = Person(name=text[:100], issuer=ISSUER, subject=text[:255])
    actor, own = person.actor, launch.gates[0].decisions[0]
    shown = {"launch": launch, "gate": launch.gates[0], "actor": actor, "code": text, "fault": text}
    decision = {
        **shown,
        "instead_of": actor,
        "review": True,
        "changes": [Differs(text, text, text)],
        "files": {text: f"--- a\n+++ b\n+{text}\n-{text}"},
        "budget": None,
        "stands_until": None,
        "comment": text,
        "longest": 500,
    }
    return {
        "decision.html, named": {**decision, "people": {actor: person}},
        "decision.html, not named": {**decision, "people": {}},
        "decision.html, policy": {**decision, "launch": _of_policy(launch), "people": {}},
        "decided.html": {
            **shown,
            "heading": text,
            "note": text,
            "own": own,
            "revocable": True,
            "people": {actor: person},
        },
        "refused.html": {"heading": text, "sentences": (text,), "code": text},
        "pointer.html": {"launch_id": text},
    }


ON_LINE = [name for name, text in UNICODE.items() if len(text) <= 1000 and "\n" not in text]
"""A text of several lines has more elements, which is as it should be; that is asked elsewhere."""


@pytest.mark.parametrize("page", told(PLAIN))
def test_nothing_that_a_page_is_told_is_more_than_text(page: str) -> None:
    """In each place of each page, whoever wrote it: the same elements whatever it is, and all of it is seen."""
    name = page.partition(",")[0]
    plain = structure(pages._page(name, **told(PLAIN)[page]).body)
    assert len(plain) > 10
    for chosen_name in chosen(FEW, ON_LINE):
        html = pages._page(name, **told(UNICODE[chosen_name])[page]).body
        assert structure(html) == plain, f"GONOGO_SEED={SEED}: {chosen_name}"
        assert not unseen(html), f"GONOGO_SEED={SEED}: {chosen_name}"


class Showing:
    """A world in which what was written is shown in every way there is."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.shell = Shell(Gateway(made))

    def submit(self, text: str) -> Any:
        """Have a launch asked for with this text wherever it is taken; None where it is taken nowhere."""
        taken: dict[str, Any] = {}
        for field in ("reason", "name", "cost_center"):
            body = {"template": "web-small", "reason": PLAIN, "cost_center": "marketing", field: text}
            answer = self.world.call("POST", "/v1/launches?dry_run=true", body, who="dev")
            assert answer.code in (200, 400), answer.text
            if answer.code == 200:
                taken[field] = text
        if not taken:
            return None
        plain = {"name": PLAIN, "reason": PLAIN, "cost_center": "marketing"}
        return self.world.ask(**{**plain, **taken})

    def pages(self, launch: Any, text: str) -> list[str]:
        """Return the pages on which it is shown: asked, asked again with a comment, decided, seen once more."""
        code = code_of(self.world, launch)
        sent = {"code": code, "digest": launch["digest"], "comment": text[:400]}
        shown = [
            self.world.form("/decide", code=code),
            self.world.form("/decide", **sent, answer="perhaps"),
            self.world.form("/decide", **sent, answer="GO"),
            self.world.form("/decide", code=code),
        ]
        assert all(one.code < 500 for one in shown)
        return [one.text for one in shown]

    def terminal(self, launch: Any) -> list[str]:
        """Return what the commands print that show it."""
        commands = (("show", launch["id"]), ("why", launch["id"]), ("inbox",), ("list",))
        printed = []
        for words in commands:
            result = self.shell(*words, who="lead" if words[0] == "inbox" else "dev")
            assert result.exit_code == 0, (words, result.output)
            printed.append(result.output)
        return printed


SHOWN = [name for name in UNICODE if len(UNICODE[name]) <= 1000]


def test_no_text_is_more_than_text_on_a_page_or_a_terminal(
    record_property: Callable[[str, object], None],
) -> None:
    """The same elements whatever was written, no sign that is not seen, and none that steers a terminal."""
    shown = 0
    with world(FILES) as made:
        showing = Showing(made)
        plain = [structure(one) for one in showing.pages(made.ask(name=PLAIN), PLAIN)]
        for name in chosen(SOME, SHOWN):
            launch = showing.submit(UNICODE[name])
            if launch is None:
                continue
            shown += 1
            for number, page in enumerate(showing.pages(launch, UNICODE[name])):
                assert not unseen(page), name
                if (
                    structure(page) != plain[number]
                ):  # a comment that is not taken leaves the question as it is
                    assert structure(page) in (plain[0], plain[1], plain[2]), name
            for text in showing.terminal(launch):
                assert not unseen(text), name
    assert shown > SOME / 3
    record_property(
        "hostile", f"{shown} texts of {len(UNICODE)} taken, and shown on pages and terminals as text"
    )
