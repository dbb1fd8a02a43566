"""The issuer of one machine signs browsers in as real ones do, and takes nothing that those would refuse."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from gonogo.core.bundle import Person
from gonogo.oidc import Issuer as Trusted
from gonogo.oidc import Oidc
from local import page
from local.clock import Clock
from local.issuer import AUDIENCE, ISSUER, Issuer
from local.mailbox import Mailbox
from local.routes import Routes
from local.sign_in import challenge

START = datetime(2026, 1, 1, tzinfo=UTC)
HOST = {"host": "127.0.0.1:8000"}
VERIFIER = "v" * 43
ASK = {
    "response_type": "code",
    "client_id": "gonogo-pages",
    "redirect_uri": "http://127.0.0.1:8000/usage",
    "scope": "openid",
    "state": "the-state",
    "nonce": "the-nonce",
    "code_challenge": challenge(VERIFIER),
    "code_challenge_method": "S256",
}
TAKE = {
    "grant_type": "authorization_code",
    "client_id": "gonogo-pages",
    "redirect_uri": "http://127.0.0.1:8000/usage",
    "code_verifier": VERIFIER,
}


@pytest.fixture
def clock():
    """A clock that can jump."""
    return Clock(lambda: START)


@pytest.fixture
def issuer(clock):
    """An issuer that knows dev and lead."""
    made = Issuer(clock.now)
    made.people = {
        name: Person(name=name, issuer=ISSUER, subject=name, groups=(f"{name}s",)) for name in ("dev", "lead")
    }
    return made


@pytest.fixture
def send(clock, issuer):
    """Send the routes a request, its fields in the query or as a form."""
    view = page.View("", "", "", "", "", [], {}, [], [])
    routes = Routes(
        clock=clock,
        issuer=issuer,
        mailbox=Mailbox(clock.now),
        jumped=lambda: None,
        view=lambda: view,
        keep=lambda: "",
        restore=lambda _backup: 1,
    )

    def one(method, path, fields, headers=HOST):
        query, body = (f"?{urlencode(fields)}", b"") if method == "GET" else ("", urlencode(fields).encode())
        return routes.answer(method, f"/_local/{path}{query}", headers, body)

    return one


@pytest.fixture
def code(send):
    """A code that dev's browser got."""
    reply = send("POST", "authorize", {**ASK, "person": "dev"})
    return parse_qs(urlsplit(reply.headers["Location"]).query)["code"][0]


def test_challenge_is_that_of_the_standard():
    """The example of RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_whoever_sits_there_says_who_they_are(send):
    """Everybody of the policy may be chosen, and what was asked for goes on with the choice."""
    reply = send("GET", "authorize", ASK)
    assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
    text = reply.body.decode()
    assert 'name="person" value="dev"' in text
    assert "leads" in text
    assert all(f'name="{name}" value="{value}"' in text for name, value in ASK.items())
    assert "script" not in reply.headers["Content-Security-Policy"]


def test_code_is_exchanged_for_tokens_that_gonogo_takes(send, issuer, code):
    """The whole road, to the API's own verifier; the nonce comes back in the token that is for the client."""
    reply = send("POST", "authorize/token", {**TAKE, "code": code})
    assert reply.status == 200
    tokens = json.loads(reply.body)
    oidc = Oidc([Trusted(issuer=ISSUER, audience=AUDIENCE, keys=issuer.jwks())])
    assert oidc.verify(tokens["access_token"], START).subject == "dev"
    said = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert (said["aud"], said["nonce"], said["sub"]) == ("gonogo-pages", "the-nonce", "dev")


def test_answer_leads_back_to_the_page_with_its_state(send):
    """The page knows its own request by it, and nobody else is sent the code."""
    for fields, name in (({"person": "dev"}, "code"), ({"person": ""}, "error")):
        reply = send("POST", "authorize", {**ASK, **fields})
        there = urlsplit(reply.headers["Location"])
        assert reply.status == 303
        assert there._replace(query="").geturl() == ASK["redirect_uri"]
        assert parse_qs(there.query).keys() == {name, "state"}
        assert parse_qs(there.query)["state"] == ["the-state"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"response_type": "token"},
        {"client_id": "another"},
        {"redirect_uri": "http://127.0.0.1:8000/decide"},
        {"redirect_uri": "http://127.0.0.1:8000/usage?x=1"},
        {"redirect_uri": "http://127.0.0.1:9000/usage"},
        {"redirect_uri": "http://localhost:8000/usage"},
        {"redirect_uri": "https://elsewhere.example/usage"},
        {"scope": "profile"},
        {"state": ""},
        {"nonce": ""},
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"code_challenge_method": "plain"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_that_no_page_of_ours_makes_leads_nowhere(send, method, wrong):
    """It is answered here: to send it back would be to send it to whom nobody knows."""
    reply = send(method, "authorize", {**ASK, "person": "dev", **wrong})
    assert reply.status == 400
    assert "Location" not in reply.headers


@pytest.mark.parametrize("missing", sorted(ASK))
def test_nothing_of_the_request_may_be_missing(send, missing):
    """PKCE that is left out is no PKCE."""
    asked = {name: value for name, value in ASK.items() if name != missing}
    assert send("POST", "authorize", {**asked, "person": "dev"}).status == 400


def test_nobody_else_can_be_chosen(send):
    """The people of the policy are all there are."""
    assert send("POST", "authorize", {**ASK, "person": "nobody"}).status == 400
    assert send("POST", "authorize", ASK).status == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"grant_type": "password"},
        {"client_id": "another"},
        {"redirect_uri": "http://127.0.0.1:8000/home"},
        {"code_verifier": "w" * 43},
        {"code_verifier": challenge(VERIFIER)},
        {"code_verifier": "v" * 42},
        {"code_verifier": ""},
        {"code": "none"},
        {"code": ""},
    ],
)
def test_code_in_other_hands_is_worth_nothing(send, code, wrong):
    """Who has seen the code lacks the verifier, and whose request was another gets nothing for it."""
    reply = send("POST", "authorize/token", {**TAKE, "code": code, **wrong})
    assert reply.status == 400
    assert json.loads(reply.body)["error"] in ("invalid_grant", "unsupported_grant_type")


def test_code_is_taken_once(send, code):
    """One that is tried with a wrong verifier is used up as well, so nobody can try many."""
    assert send("POST", "authorize/token", {**TAKE, "code": code}).status == 200
    assert send("POST", "authorize/token", {**TAKE, "code": code}).status == 400
    other = parse_qs(urlsplit(send("POST", "authorize", {**ASK, "person": "dev"}).headers["Location"]).query)[
        "code"
    ][0]
    assert send("POST", "authorize/token", {**TAKE, "code": other, "code_verifier": "w" * 43}).status == 400
    assert send("POST", "authorize/token", {**TAKE, "code": other}).status == 400


def test_code_does_not_wait_for_long(send, code, clock):
    """A code is in an address for a moment, and what is in an address is found some day."""
    clock.advance(timedelta(minutes=1))
    assert send("POST", "authorize/token", {**TAKE, "code": code}).status == 400


def test_field_that_stands_twice_means_nothing(send, code):
    """Two readers could read two things (RFC 6749, 3.1)."""
    fields = [*TAKE.items(), ("code", code), ("code", "other")]
    assert send("POST", "authorize/token", fields).status == 400
    assert send("GET", "authorize", [*ASK.items(), ("state", "other")]).status == 400
