"""The routes below /_local/ answer programs and pages of this machine, and nobody else."""

import json
from datetime import UTC, datetime

import jwt
import pytest
from botocore.exceptions import ClientError

from gonogo.core.bundle import Person
from gonogo.oidc import Issuer as Trusted
from gonogo.oidc import Oidc
from local import page
from local.clock import Clock
from local.endpoint import may_enter
from local.issuer import AUDIENCE, ISSUER, Issuer
from local.mailbox import Mail, Mailbox
from local.routes import Routes

START = datetime(2026, 1, 1, tzinfo=UTC)
HOST = {"host": "127.0.0.1:8000"}
MAIL = Mail(
    id="m1",
    at="2026-01-01T00:00:00Z",
    sender="gonogo@example.com",
    to="lead@example.com",
    subject="Decide <b>",
    text="t",
    html="<p>h</p>",
)


class Box(Mailbox):
    """A mailbox with one mail."""

    def mails(self):
        return [MAIL]

    def find(self, mail_id):
        return MAIL if mail_id == MAIL.id else None


KEPT = "arn:kept"


def _restored(backup: str) -> int:
    if backup != KEPT:
        raise ClientError(
            {"Error": {"Code": "BackupNotFoundException", "Message": "no such backup"}}, "Restore"
        )
    return 2


@pytest.fixture
def issuer():
    """An issuer that knows dev."""
    made = Issuer(lambda: START)
    made.people = {"dev": Person(name="dev", issuer=ISSUER, subject="dev", groups=("developers",))}
    return made


@pytest.fixture
def jumps():
    """The times at which the clock was seen to jump."""
    return []


@pytest.fixture
def ask(issuer, jumps):
    """Ask the routes one thing; a body is sent as JSON."""
    clock = Clock(lambda: START)
    view = page.View(
        url="http://127.0.0.1:8000/",
        aws_url="http://127.0.0.1:4566",
        bus="gonogo",
        topic="arn:topic",
        now="now",
        people=list(issuer.people.values()),
        secrets={"hook": "whsec_x"},
        machines=[page.Machine("i-1", "t3.micro", "running")],
        steps=[page.Step("Ask", "curl <url>")],
    )
    routes = Routes(
        clock=clock,
        issuer=issuer,
        mailbox=Box(clock.now),
        jumped=lambda: jumps.append(clock.now()),
        view=lambda: view,
        keep=lambda: KEPT,
        restore=_restored,
    )

    def one(method, path, body=None, headers=HOST):
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return routes.answer(method, path, headers, raw)

    return one


def test_the_front_page_shows_mails_people_and_what_runs(ask):
    """It is where a new user lands, so all there is must be on it, and escaped."""
    text = ask("GET", "/_local/").body.decode()
    for part in ("Decide &lt;b&gt;", 'href="mail/m1"', "developers", "i-1", "curl &lt;url&gt;", "whsec_x"):
        assert part in text


def test_mails_are_given_to_programs_by_the_names_they_expect(ask):
    """The shape of this list is promised."""
    assert json.loads(ask("GET", "/_local/mail").body) == [
        {
            "id": "m1",
            "at": "2026-01-01T00:00:00Z",
            "from": "gonogo@example.com",
            "to": "lead@example.com",
            "subject": "Decide <b>",
            "text": "t",
            "html": "<p>h</p>",
        }
    ]


def test_one_mail_is_shown_to_a_person(ask):
    """Its link is what a person clicks."""
    reply = ask("GET", "/_local/mail/m1")
    assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
    assert b"<p>h</p>" in reply.body
    assert ask("GET", "/_local/mail/other").status == 404


def test_a_token_is_one_that_gonogo_takes(ask, issuer):
    """The API checks it as it checks any issuer's, with the keys that the issuer publishes."""
    token = json.loads(ask("POST", "/_local/token", {"person": "dev"}).body)["access_token"]
    oidc = Oidc([Trusted(issuer=ISSUER, audience=AUDIENCE, keys=issuer.jwks())])
    claims = oidc.verify(token, START)
    assert (claims.issuer, claims.subject) == (ISSUER, "dev")
    assert json.loads(ask("GET", "/_local/jwks.json").body) == issuer.jwks()
    assert jwt.get_unverified_header(token)["kid"] == issuer.jwks()["keys"][0]["kid"]


def test_the_public_keys_hold_no_private_part(issuer):
    """Whoever reads them must not be able to sign."""
    assert all("d" not in key for key in issuer.jwks()["keys"])


def test_the_clock_jumps_and_what_is_due_is_done_before_the_answer(ask, jumps):
    """A test can jump and look, without waiting."""
    assert json.loads(ask("POST", "/_local/clock", {"advance": "2h"}).body) == {"now": "2026-01-01T02:00:00Z"}
    assert jumps == [datetime(2026, 1, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/_local/token", {"person": "nobody"}),
        ("/_local/token", {"person": 1}),
        ("/_local/token", {"person": "dev", "more": 1}),
        ("/_local/token", {}),
        ("/_local/token", []),
        ("/_local/token", None),
        ("/_local/token", b"{"),
        ("/_local/token", b"\xff"),
        ("/_local/token", b"[" * 5000),
        ("/_local/clock", {"advance": "-2h"}),
        ("/_local/clock", {"advance": "soon"}),
        ("/_local/clock", {"advance": 2}),
        ("/_local/clock", {"person": "dev"}),
    ],
)
def test_a_bad_body_is_told_what_a_good_one_is(ask, jumps, path, body):
    """Somebody types these by hand."""
    reply = ask("POST", path, body)
    assert (reply.status, reply.content_type) == (400, "application/problem+json")
    assert len(json.loads(reply.body)["detail"]) > 10
    assert jumps == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_local/nothing", 404),
        ("GET", "/_local/token", 405),
        ("POST", "/_local/mail", 405),
        ("DELETE", "/_local/", 405),
        ("HEAD", "/_local/", 200),
        ("GET", "/_local", 308),
        ("GET", "/_local/?x=1", 200),
    ],
)
def test_other_routes_and_methods_are_answered_by_name(ask, method, path, status):
    """A wrong guess gets a right answer."""
    assert ask(method, path).status == status


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"host": "evil.example"}),
        ("GET", {"host": "evil.example:8000"}),
        ("GET", {"host": "127.0.0.1.evil.example:8000"}),
        ("GET", {"host": "localhost.evil.example"}),
        ("GET", {**HOST, "sec-fetch-site": "cross-site"}),
        ("POST", {**HOST, "sec-fetch-site": "cross-site"}),
        ("POST", {**HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("POST", {**HOST, "sec-fetch-site": "same-site"}),
        ("POST", {**HOST, "origin": "http://evil.example"}),
        ("POST", {**HOST, "origin": "null"}),
        ("POST", {**HOST, "origin": "http://127.0.0.1:9000"}),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        "/_local/",
        "/_local/mail",
        "/_local/token",
        "/_local/clock",
        "/_local/authorize",
        "/_local/authorize/token",
    ],
)
def test_nobody_else_may_ask(ask, jumps, method, path, headers):
    """A web page that is open in another tab could otherwise be anybody here."""
    reply = ask(method, path, {"person": "dev"}, headers)
    assert reply.status == 403
    assert jumps == []


def test_the_table_is_backed_up_and_put_back(ask):
    """Who tries a restore needs the backup's name once, and hears which epoch begins."""
    kept = json.loads(ask("POST", "/_local/backup").body)
    assert kept == {"backup": KEPT}
    assert json.loads(ask("POST", "/_local/restore", kept).body) == {"epoch": 2}
    refused = ask("POST", "/_local/restore", {"backup": "arn:none"})
    assert refused.status == 400
    assert "no such backup" in json.loads(refused.body)["detail"]


@pytest.mark.parametrize("host", ["localhost:8000", "localhost", "127.0.0.1:1"])
def test_this_machine_is_known_by_its_names(ask, host):
    """A port may be forwarded to another."""
    assert ask("GET", "/_local/mail", headers={"host": host}).status == 200


def test_a_link_in_a_chat_may_lead_to_the_front_page(ask):
    """Following a link is no danger: the page that links cannot read what it leads to."""
    headers = {**HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ask("GET", "/_local/", headers=headers).status == 200


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTP_HOST": "127.0.0.1:4566"}, True),
        ({"HTTP_HOST": "localhost:4566"}, True),
        ({"HTTP_HOST": "bucket.localhost:4566"}, True),
        ({"HTTP_HOST": "evil.example"}, False),
        ({}, False),
        ({"HTTP_HOST": "127.0.0.1:4566", "HTTP_ORIGIN": "http://evil.example"}, False),
        ({"HTTP_HOST": "127.0.0.1:4566", "HTTP_SEC_FETCH_SITE": "cross-site"}, False),
        ({"HTTP_HOST": "127.0.0.1:4566", "HTTP_ORIGIN": "http://127.0.0.1:4566"}, True),
    ],
)
def test_the_aws_endpoint_is_for_programs(environ, expected):
    """It holds every mail and token, and would put events on the bus for anybody."""
    assert may_enter(environ) is expected
