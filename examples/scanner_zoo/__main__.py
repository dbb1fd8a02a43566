"""Runs the zoo from the command line: a table, and exit code 1 if anything was decided."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from . import browsers, zoo
from .zoo import Outcome

PATIENCE = 20


def main(words: list[str] | None = None) -> int:
    """Return 0 if nothing was decided, 1 if something was, 2 if it could not be told."""
    asked = _parser().parse_args(words)
    given = (
        [line.strip() for line in Path(asked.links).read_text().splitlines()] if asked.links else [asked.link]
    )
    links = [one for one in given if one]
    if not links or not links[0]:
        _parser().error("give a link, or a file of links")

    def make() -> httpx.Client:
        return httpx.Client(timeout=PATIENCE)

    headers = dict(one.split(": ", 1) for one in asked.header)
    witness = zoo.ByAsking(make, asked.state, headers) if asked.state else zoo.ByReading(make, asked.ignore)
    try:
        outcomes = [_shown(one) for one in _run(links, make, witness, no_browser=asked.no_browser)]
    except httpx.HTTPError as error:
        print(f"It cannot be told: {error}", file=sys.stderr)
        return 2
    guilty = [one for one in outcomes if one.decided]
    for one in guilty:
        print(f"\n{one.visitor}\n  before: {one.before[:400]}\n  after:  {one.after[:400]}")
    print(f"\n{len(outcomes)} visitors, {len(guilty)} of them decided something.")
    return 1 if guilty else 0


def _run(
    links: list[str], make: zoo.MakeClient, witness: zoo.Witness, *, no_browser: bool
) -> Iterator[Outcome]:
    each = itertools.cycle(links)
    print(f"{'visitor':<22} {'decided':<8} {'sent':<34} what it does")
    yield zoo.looked_at(witness, next(each))
    yield from zoo.by_http(each, make, witness)
    if no_browser:
        return
    try:
        with browsers.chromium() as browser:
            yield from zoo.by_browser(each, browser, witness)
    except ImportError:
        print("no playwright here: the visitors with a browser stay away (pip install playwright)")


def _shown(one: Outcome) -> Outcome:
    print(f"{one.visitor:<22} {'YES' if one.decided else 'no':<8} {one.sent:<34.34} {one.does}", flush=True)
    return one


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m scanner_zoo", description=sys.modules["__main__"].__doc__)
    made.add_argument(
        "link", nargs="?", help="the link as it stands in the mail, fragment included; quote it"
    )
    made.add_argument("--links", metavar="FILE", help="a link on each line: each visitor takes the next")
    made.add_argument("--state", metavar="URL", help="where to read how things stand, instead of at the link")
    made.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="sent to --state")
    made.add_argument(
        "--ignore", default="", metavar="REGEX", help="what may differ in the page, such as a time"
    )
    made.add_argument("--no-browser", action="store_true", help="only the visitors that need none")
    return made


if __name__ == "__main__":
    sys.exit(main())
