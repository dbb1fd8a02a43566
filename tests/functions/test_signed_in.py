"""The pages that sign in, as the server gives them: nothing secret, nothing from elsewhere, nowhere else to go."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from chalice.app import Response

from functions import signed_in
from functions.headers import page_headers
from gonogo import bootstrap
from gonogo.bootstrap import Gonogo, Settings
from gonogo.ports import SignIn
from tests.functions.test_pages import Page

CLIENT = {
    "client_id": "pages-0",
    "authorize_uri": "https://login.example.com/oauth2/authorize",
    "token_uri": "https://login.example.com:8443/oauth2/token",
}
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "GONOGO_TABLE": "gonogo",
    "GONOGO_EPOCH": "1",
    "GONOGO_ISSUERS": json.dumps(
        [
            {
                "issuer": "https://issuer.example.com",
                "audience": "gonogo",
                "jwks_uri": "https://issuer.example.com/k",
            }
        ]
    ),
}
NOW = datetime(2026, 2, 3, tzinfo=UTC)

Show = Callable[..., Response]


@pytest.fixture(name="show")
def page_of_a_deployment(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Give what shows the page of a deployment that is told how to sign in."""

    def show(sign_in: Any = CLIENT, path: str = "/usage") -> Response:
        name = path.strip("/")
        told = {**ENVIRONMENT, "GONOGO_SIGN_IN": json.dumps(sign_in) if sign_in else ""}
        made = Gonogo(Settings.read(told), now=lambda: NOW)
        monkeypatch.setattr(bootstrap, "_installed", made)
        shown: Response = getattr(signed_in, name)(path)
        return shown

    return show


def policy(page: Response) -> dict[str, str]:
    """Return the directives of a page's Content-Security-Policy."""
    text = str(page.headers["Content-Security-Policy"])
    return dict(part.split(" ", 1) for part in text.split("; "))


@pytest.mark.parametrize("path", ["/usage", "/home"])
def test_page_may_do_what_it_needs_and_no_more(show: Show, path: str) -> None:
    """Whatever else got into the page could neither run, nor load, nor send the bearer anywhere."""
    page = show(path=path)
    found = Page(page.body)
    (script,), (style,) = found.inline["script"], found.inline["style"]

    def of(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy(page) == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "connect-src": "'self' https://login.example.com:8443",
        "img-src": "blob:",
        "script-src": of(script),
        "style-src": of(style),
    }
    for name, value in {
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }.items():
        assert page.headers[name] == value
    assert "Set-Cookie" not in page.headers


def test_page_has_nothing_but_what_a_client_may_know(show: Show) -> None:
    """Whoever is not signed in gets it, so it tells where to sign in, and of usage nothing."""
    page = Page(show().body)
    (told,) = [attributes for _, attributes in page.elements if attributes.get("id") == "signed-out"]
    assert {name: value for name, value in told.items() if name.startswith("data-")} == {
        "data-client-id": "pages-0",
        "data-authorize-uri": "https://login.example.com/oauth2/authorize",
        "data-token-uri": "https://login.example.com:8443/oauth2/token",
        "data-issuer": "https://issuer.example.com",
        "data-audience": "gonogo",
    }


def test_page_loads_nothing_and_handles_nothing_inline(show: Show) -> None:
    """It works without anybody else's file, and no attribute is a script."""
    for page in (show(), show(None), show(path="/home"), show(None, "/home")):
        for tag, attributes in Page(page.body).elements:
            assert tag not in ("link", "iframe", "object", "embed", "base", "form")
            assert not {"src", "srcset", "style"} & set(attributes)
            assert not [name for name in attributes if name.startswith("on")]
            assert re.fullmatch(r"[a-z.]+", attributes.get("href") or "openapi.json")


def test_page_can_be_used_by_everybody(show: Show) -> None:
    """A language, one main heading, and a label for each control."""
    for path in ("/usage", "/home"):
        page = Page(show(path=path).body)
        tags = [tag for tag, _ in page.elements]
        assert (tags.count("h1"), tags.count("main"), tags.count("title")) == (1, 1, 1)
        labels = {a.get("for") for tag, a in page.elements if tag == "label"}
        assert labels == {a["id"] for tag, a in page.elements if tag in ("select", "input")}


def test_without_a_client_it_says_so_and_names_the_command(show: Show) -> None:
    """A deployment that nobody has told how to sign in must not show a button that fails."""
    for sign_in in (None, {"client_id": "", "authorize_uri": "", "token_uri": ""}):
        page = show(sign_in)
        assert page.status_code == 200
        assert "not configured here" in page.body
        assert "gonogo bill --month 2026-02" in page.body
        assert "gonogo inbox" in show(sign_in, "/home").body
        assert "<button" not in page.body
        assert "<script" not in page.body
        assert policy(page).keys() & {"script-src", "connect-src", "img-src"} == set()


def test_months_go_back_from_this_one(show: Show) -> None:
    """The deployment's clock says which month it is, not that of whoever looks."""
    values = [a["value"] for tag, a in Page(show().body).elements if tag == "option"]
    assert values[:3] == ["2026-02", "2026-01", "2025-12"]
    assert (len(values), values[-1]) == (24, "2024-03")
    assert ">December 2025<" in show().body


def test_page_with_a_slash_too_many_is_moved(show: Show) -> None:
    """Its relative addresses, those of the API among them, would go astray."""
    for name in ("usage", "home"):
        moved = show(path=f"/{name}/")
        assert (moved.status_code, moved.headers["Location"]) == (308, f"../{name}")
        assert moved.headers.items() > page_headers(style="").items()


def test_issuer_of_one_machine_needs_no_other_origin(show: Show) -> None:
    """An address that is relative to the page works under each name of the machine."""
    page = show({**CLIENT, "authorize_uri": "_local/authorize", "token_uri": "_local/token"})
    assert policy(page)["connect-src"] == "'self'"


@pytest.mark.parametrize(
    "address",
    [
        "http://login.example.com/token",
        "javascript:alert(1)",
        "//elsewhere.example/token",
        "https://login.example.com; script-src *",
        "https://login.example.com/a b",
        "https://user@login.example.com/",
        "https://login.example.com/#x",
        "https://login.example.com/'",
        "https://",
        "",
    ],
)
def test_nobody_is_sent_where_it_is_not_safe(show: Show, address: str) -> None:
    """A slip of the parameters must not become a hole in the page's policy, or send a code in clear."""
    for name in ("authorize_uri", "token_uri"):
        assert show({**CLIENT, name: address}).status_code == 500
        with pytest.raises(ValueError, match=name):
            SignIn(**{**CLIENT, "issuer": "https://i.example", "audience": "a", name: address})
