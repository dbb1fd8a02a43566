"""Lets each visitor loose on a link, and looks before and after whether anything was decided."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

import httpx

from . import browsers
from .visitors import VISITORS, Enough, Visit, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Witness = Callable[[str], str]
"""Takes a link, and returns how things stand with what it is for: the same text as long as nothing is decided."""
MakeClient = Callable[[], httpx.Client]
FIRST_LOOK = "the first look"


class Outcome(NamedTuple):
    """What one visitor did at a link, and how things stood before and after."""

    visitor: str
    does: str
    did: Counter[str]
    before: str
    after: str

    @property
    def decided(self) -> bool:
        """Tell whether something was decided."""
        return self.before != self.after

    @property
    def sent(self) -> str:
        """What it sent, such as `20 GET`."""
        return ", ".join(f"{number} {method}" for method, number in self.did.most_common()) or "nothing"


class ByReading:
    """The witness for want of a better one: reads the page that the link leads to, as a person would.

    Where the page asks for one thing and the link has a fragment, the fragment is what it asks for. It changes
    nothing unless looking does; that is found by looking twice. `ignored` is left out of what is read.
    """

    def __init__(self, make: MakeClient, ignored: str = "") -> None:
        self._make = make
        self._ignored = re.compile(ignored) if ignored else None

    def __call__(self, link: str) -> str:
        """Return the code and the text that a person gets."""
        with self._make() as client:
            visit = Visit(client, link)
            answer = visit.get()
            page = visit.page(answer)
            asking = [one for one in page.forms if sum(field.is_typed for field in one.fields) == 1]
            if visit.code and asking:
                form = asking[0]
                sent = {one.name: visit.code if one.is_typed else one.value for one in form.fields}
                answer = visit.send(form.method, urljoin(visit.bare, form.action), data=sent)
                page = visit.page(answer)
        text = page.text or (answer.text if answer is not None else "")
        code = answer.status_code if answer is not None else "no answer"
        return f"{code} {self._ignored.sub('', text) if self._ignored else text}"


class ByAsking:
    """A witness that gets an address of its own, such as that of the request in an API."""

    def __init__(self, make: MakeClient, url: str, headers: dict[str, str]) -> None:
        self._make, self._url, self._headers = make, url, headers

    def __call__(self, _link: str) -> str:
        """Return what is answered there."""
        with self._make() as client:
            answer = client.get(self._url, headers=self._headers)
        answer.raise_for_status()
        return answer.text


def looked_at(witness: Witness, link: str) -> Outcome:
    """Return whether looking alone changes anything: without that the witness would be none."""
    return Outcome(FIRST_LOOK, "Open it twice, as the witness does.", Counter(), witness(link), witness(link))


def by_http(
    links: Iterator[str], make: MakeClient, witness: Witness, visitors: Iterable[Visitor] = VISITORS
) -> Iterator[Outcome]:
    """Yield what each visitor without a browser did."""
    for visitor in visitors:
        link = next(links)
        before = witness(link)
        with make() as client:
            visit = Visit(client, link)
            with suppress(Enough):
                visitor.visit(visit)
        yield Outcome(visitor.name, visitor.does, visit.did, before, witness(link))


def by_browser(
    links: Iterator[str],
    browser: Browser,
    witness: Witness,
    drivers: Iterable[browsers.Driver] = browsers.DRIVERS,
) -> Iterator[Outcome]:
    """Yield what each visitor with a browser did."""
    for driver in drivers:
        link = next(links)
        before = witness(link)
        did = browsers.visit(browser, driver, link)
        yield Outcome(driver.name, driver.does, did, before, witness(link))
