"""The pages of whoever is signed in: each holds nothing secret, and asks the API with a bearer that only it has.

Signing in happens in the browser alone (OpenID Connect's code flow with PKCE), so the server neither sees nor
keeps anything of it: no cookie, no session, nothing that another site could make a browser send.
"""

from __future__ import annotations

from calendar import month_name
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

from chalice.app import Response
from markupsafe import Markup

from functions import problem
from functions.headers import page_headers, signed_in_headers
from functions.rendering import inline, templates
from gonogo.bootstrap import gonogo

MONTHS = 24
"""How many months can be chosen; the API and the command know those before, too."""
PAGES = {"home": "Your launches", "usage": "Usage"}
"""The pages there are, by their paths."""
PARTS = {"home": ("home",), "usage": ("sums", "usage")}
"""The scripts of each page, beyond those of all."""


class Month(NamedTuple):
    """A month (UTC) that can be chosen: 2026-11, and as people say it."""

    value: str
    name: str


@problem.answered
def usage(path: str) -> Response:
    """GET /usage: what a month cost, per cost center and day. `path` is what was asked for."""
    return _page("usage", path, months=_months(gonogo().now()))


@problem.answered
def home(path: str) -> Response:
    """GET /home: what waits for whoever signs in, and what they asked for. `path` is what was asked for."""
    return _page("home", path)


def _months(now: datetime) -> list[Month]:
    """Return the last months, newest first."""
    newest = now.year * 12 + now.month - 1
    firsts = [divmod(newest - back, 12) for back in range(MONTHS)]
    return [Month(f"{year}-{month + 1:02}", f"{month_name[month + 1]} {year}") for year, month in firsts]


@cache
def _style() -> Markup:
    return inline("page/style.css") + inline("page/signed_in.css")


@cache
def _script(name: str) -> Markup:
    return Markup().join(inline(f"page/{one}.js") for one in ("signed_in", "tables", *PARTS[name]))


def _page(name: str, path: str, **told: Any) -> Response:
    """Return a page. One whose path ends with a slash is moved: its relative links would go astray."""
    if path.endswith("/"):
        there = {"Location": f"../{name}"}
        return Response("", {**page_headers(style=""), **there}, HTTPStatus.PERMANENT_REDIRECT)
    sign_in, style, script = gonogo().sign_in, _style(), _script(name)
    body = templates().get_template(f"page/{name}.html")
    headers = (
        signed_in_headers(style=style, script=script, token_uri=sign_in.token_uri)
        if sign_in
        else page_headers(style=style)
    )
    return Response(
        body.render(style=style, script=script, sign_in=sign_in, page=name, pages=PAGES, **told), {**headers}
    )
