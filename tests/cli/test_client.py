"""The client: what it repeats, what it never repeats, and what it makes of answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from gonogo.client import Client, NoAnswerError, ProblemError
from gonogo.core.actor import Actor
from gonogo.core.errors import Fault
from tests.cli.shell import URL, Answers, problem

ASKED: dict[str, Any] = {"reason": "a page", "cost_center": "marketing"}
TOKEN = "t0k3n"
SOON = datetime(2026, 12, 1, 8, tzinfo=UTC)
SOMEBODY = Actor("https://i.example.com/a b", "s#1")
LAUNCH = {"id": "l-abc", "state": "PENDING"}
BUSY = problem(503, "busy", "Try again.")
CUT = httpx.ReadError("cut off")


class Pauses(list[float]):
    """Keeps how long the client would have slept."""

    def __call__(self, seconds: float) -> None:
        """Sleep not."""
        self.append(seconds)


def client(answers: dict[str, Any], token: Any = TOKEN) -> tuple[Client, Answers, Pauses]:
    """Return a client of something that gives these answers."""
    transport, pauses = Answers(answers), Pauses()
    return Client(URL, token, transport=transport, sleep=pauses), transport, pauses


def test_a_submit_whose_answer_is_lost_is_repeated_under_the_same_key():
    """A second launch for one request is what nobody wants to pay for."""
    gonogo, there, pauses = client({"POST /v1/launches": [CUT, BUSY, httpx.Response(201, json=LAUNCH)]})
    assert gonogo.submit("web-small", **ASKED) == LAUNCH
    keys = [request.headers["Idempotency-Key"] for request in there.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 22
    assert len({request.content for request in there.asked}) == 1
    assert pauses == [0.5, 1.0]


def test_two_submits_have_two_keys():
    """Two launches that read the same are still two."""
    gonogo, there, _ = client({"POST /v1/launches": LAUNCH})
    gonogo.submit("web-small", **ASKED)
    gonogo.submit("web-small", **ASKED)
    first, second = (request.headers["Idempotency-Key"] for request in there.asked)
    assert first != second


def test_a_submit_says_all_that_was_given_and_nothing_else():
    """The API refuses fields that it does not know, null ones among them where it wants text."""
    gonogo, there, _ = client({"POST /v1/launches": LAUNCH})
    gonogo.submit(
        "web-small", {"count": 2}, **ASKED, on_behalf_of=Actor("https://i", "s"), idempotency_key="mine"
    )
    assert json.loads(there.asked[0].content) == {
        "template": "web-small",
        "parameters": {"count": 2},
        **ASKED,
        "on_behalf_of": {"issuer": "https://i", "subject": "s"},
    }
    assert there.asked[0].headers["Idempotency-Key"] == "mine"


def test_it_gives_up_after_a_few_tries_and_says_that_it_does_not_know():
    """Whoever hears `no answer` must not take it for `not done`."""
    gonogo, there, _ = client({"POST /v1/launches": CUT})
    with pytest.raises(NoAnswerError, match="cut off"):
        gonogo.submit("web-small", **ASKED)
    assert len(there.asked) == 4


@pytest.mark.parametrize("failure", [CUT, BUSY])
@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/launches/l-abc/retry", lambda gonogo: gonogo.retry("l-abc")),
        (
            "/v1/launches/l-abc/decisions",
            lambda gonogo: gonogo.decide("l-abc", gate="lead", verdict="revoke", digest="0" * 64),
        ),
        ("/v1/decisions", lambda gonogo: gonogo.decide_by_token("gng_x", verdict="revoke")),
    ],
)
def test_what_is_not_idempotent_is_asked_once(path, call, failure):
    """A second `retry` would be a second attempt, if the first had failed meanwhile."""
    gonogo, there, pauses = client({f"POST {path}": failure})
    with pytest.raises((NoAnswerError, ProblemError)):
        call(gonogo)
    assert len(there.asked) == 1
    assert pauses == []


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("GET /v1/launches/l-abc", lambda gonogo: gonogo.launch("l-abc")),
        ("GET /v1/launches", lambda gonogo: gonogo.launches(state="RUNNING")),
        ("GET /v1/inbox", lambda gonogo: gonogo.inbox()),
        ("GET /v1/policy", lambda gonogo: gonogo.policy()),
        ("POST /v1/launches/l-abc/cancel", lambda gonogo: gonogo.cancel("l-abc")),
        ("POST /v1/launches/l-abc/stop", lambda gonogo: gonogo.stop("l-abc")),
        ("POST /v1/launches/l-abc/start", lambda gonogo: gonogo.start("l-abc")),
        ("POST /v1/launches/l-abc/terminate", lambda gonogo: gonogo.terminate("l-abc")),
        ("POST /v1/launches", lambda gonogo: gonogo.dry_run("web-small", **ASKED)),
        (
            "POST /v1/launches/l-abc/decisions",
            lambda gonogo: gonogo.decide("l-abc", gate="lead", verdict="approve", digest="0" * 64),
        ),
        (
            "POST /v1/launches/l-abc/decisions",
            lambda gonogo: gonogo.decide("l-abc", gate="scan", verdict="pass", digest="0" * 64),
        ),
        ("POST /v1/launches/l-abc/notes", lambda gonogo: gonogo.note("l-abc", gate="scan", text="40 %")),
        ("POST /v1/decisions", lambda gonogo: gonogo.note_by_token("gng_x", "40 %")),
        ("POST /v1/launches/l-abc/amend", lambda gonogo: gonogo.amend("l-abc", lease="7d")),
        (
            "POST /v1/launches/l-abc/offers",
            lambda gonogo: gonogo.offer("l-abc", gate="lead", digest="0" * 64, lease="7d"),
        ),
        ("POST /v1/launches/l-abc/accept", lambda gonogo: gonogo.accept("l-abc", "0" * 64)),
        ("GET /v1/launches/l-abc/why", lambda gonogo: gonogo.why("l-abc")),
        ("GET /v1/delegation", lambda gonogo: gonogo.delegation()),
        ("PUT /v1/delegation", lambda gonogo: gonogo.delegate(SOMEBODY, until=SOON)),
        ("DELETE /v1/delegation", lambda gonogo: gonogo.end_delegation()),
    ],
)
def test_what_is_idempotent_is_repeated(route, call):
    """A cold start or a busy item must not reach whoever only wants to look, or to say it once more."""
    gonogo, there, _ = client({route: [CUT, LAUNCH]})
    assert call(gonogo) == LAUNCH
    assert len(there.asked) == 2


def test_it_waits_as_long_as_it_is_told_but_not_for_ever():
    """Retry-After is the other side's to say, and a mistake there must not hang a pipeline."""
    soon, late = (httpx.Response(503, headers={"Retry-After": text}) for text in ("3", "86400"))
    gonogo, _, pauses = client({"GET /v1/policy": [soon, late, httpx.Response(429), {"bundle": "b"}]})
    assert gonogo.policy() == {"bundle": "b"}
    assert pauses == [3.0, 10.0, 2.0]


def test_a_limit_that_lasts_is_told_at_once_and_a_short_one_waited_for():
    """Whoever is told to wait an hour must hear that, and not have it tried four times in between."""
    too_many = {
        "type": "urn:gonogo:problem:too-many",
        "title": "Too many at once",
        "detail": "Try again in 3600 s.",
    }
    short, long = (
        httpx.Response(429, headers={"Retry-After": text}, json=too_many) for text in ("10", "3600")
    )
    gonogo, there, pauses = client({"GET /v1/policy": [short, long, {"bundle": "b"}]})
    with pytest.raises(ProblemError, match="3600 s") as raised:
        gonogo.policy()
    assert (raised.value.status, raised.value.type) == (429, "urn:gonogo:problem:too-many")
    assert (len(there.asked), pauses) == (2, [10.0])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_definite_no_is_not_repeated(status):
    """Asking again would change nothing but the load."""
    gonogo, there, _ = client({"GET /v1/policy": problem(status, "no", "Because.")})
    with pytest.raises(ProblemError) as raised:
        gonogo.policy()
    assert (raised.value.status, raised.value.type) == (status, "urn:gonogo:problem:no")
    assert len(there.asked) == 1


def test_a_problem_names_each_broken_rule():
    """A pipeline can only mend what it is told of."""
    faults = [{"pointer": "/parameters/count", "rule": "maximum", "detail": "9 is too many"}]
    gonogo, _, _ = client({"POST /v1/launches": problem(400, "invalid", "It breaks a rule.", errors=faults)})
    with pytest.raises(ProblemError) as raised:
        gonogo.submit("web-small", **ASKED)
    assert raised.value.title == "invalid"
    assert raised.value.detail == str(raised.value) == "It breaks a rule."
    assert raised.value.errors == (Fault("/parameters/count", "maximum", "9 is too many"),)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<h1>A proxy</h1>"),
        httpx.Response(200, json=["a", "list"]),
        httpx.Response(302, headers={"Location": "https://elsewhere.example.com/"}),
        httpx.Response(403, json={"message": "Missing Authentication Token"}),
        httpx.Response(500, text="oops"),
    ],
)
def test_what_is_no_answer_of_gonogos_is_a_problem_too(answer):
    """A wrong address must not look like an empty list; and a redirect would carry the token elsewhere."""
    gonogo, there, _ = client({"GET /v1/templates": answer})
    with pytest.raises(ProblemError) as raised:
        gonogo.templates()
    assert raised.value.type == "about:blank"
    assert len(there.asked) == 1


def test_a_token_that_is_refused_is_got_anew_once():
    """A wait outlives a token of fifteen minutes."""
    tokens = iter(["old", "new"])
    gonogo, there, _ = client(
        {"GET /v1/policy": [{}, httpx.Response(401), {"bundle": "b"}]}, token=lambda: next(tokens)
    )
    gonogo.policy()
    assert gonogo.policy() == {"bundle": "b"}
    assert [request.headers["Authorization"] for request in there.asked] == [
        "Bearer old",
        "Bearer old",
        "Bearer new",
    ]


def test_deciding_by_token_sends_no_bearer():
    """The approval token is the authority; whose session it is sent from must not matter, nor leak."""
    gonogo, there, _ = client({"POST /v1/decisions": LAUNCH})
    assert gonogo.decide_by_token("gng_abc", verdict="reject", comment="too dear") == LAUNCH
    assert "Authorization" not in there.asked[0].headers
    assert json.loads(there.asked[0].content) == {
        "token": "gng_abc",
        "verdict": "reject",
        "comment": "too dear",
    }
    assert "gng_abc" not in str(there.asked[0].url)


@pytest.mark.parametrize(
    "url", ["https://h/api/", "https://h/api", "http://127.0.0.1:8000/api", "http://localhost/api"]
)
def test_a_stage_in_the_address_is_kept(url):
    """API Gateway's own address has one, an own domain has not."""
    transport = Answers({"GET /v1/launches/l-abc": LAUNCH})
    assert Client(url, "t", transport=transport).launch("l-abc") == LAUNCH
    assert transport.asked[0].url.path == "/api/v1/launches/l-abc"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gonogo.example.com",
        "ftp://gonogo.example.com",
        "https://",
        "http://gonogo.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "https://user:pass@gonogo.example.com",
        "https://gonogo.example.com/?a=b",
        "https://gonogo.example.com/#a",
        "https://[::1",
    ],
)
def test_an_address_that_could_leak_the_token_is_refused(url):
    """Plain HTTP shows it to whoever is on the way."""
    with pytest.raises(ValueError, match=r"address|more in it|use https"):
        Client(url, "t")


@pytest.mark.parametrize("token", ["", "two words", "line\nfeed", "é", "a\x00b"])
def test_what_cannot_be_a_token_is_refused_without_showing_it(token):
    """An exception's text ends up in logs."""
    with pytest.raises(ValueError, match="the token is not one word") as raised:
        Client(URL, token)
    assert not token or token not in str(raised.value)


@pytest.mark.parametrize("launch_id", ["", "..", "a/b", "a?b", "a%2fb", "a\nb", "x" * 129])
def test_an_id_leads_to_no_other_path(launch_id):
    """`cancel ../../inbox` is a mistake, not another route."""
    gonogo, there, _ = client({})
    with pytest.raises(ValueError, match="no launch id"):
        gonogo.cancel(launch_id)
    assert there.asked == []


def test_it_closes():
    """A script that makes one per launch must not run out of sockets."""
    with Client(URL, "t", transport=Answers({})) as gonogo:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        gonogo.policy()


def sent(there: Answers) -> list[Any]:
    """Return the JSON of every request."""
    return [json.loads(request.content) for request in there.asked]


def test_an_amendment_says_what_changes_and_nothing_else():
    """What is left out stays as it is; a parameter that is None is asked for by name, to lose its value."""
    gonogo, there, _ = client({"POST /v1/launches/l-abc/amend": LAUNCH})
    assert gonogo.amend("l-abc", parameters={"count": None}) == LAUNCH
    gonogo.amend("l-abc", lease="7d", reason="less", cost_center="it", name="n", launch_by=SOON)
    gonogo.amend("l-abc")
    assert sent(there) == [
        {"parameters": {"count": None}},
        {
            "lease": "7d",
            "reason": "less",
            "cost_center": "it",
            "name": "n",
            "launch_by": "2026-12-01T08:00:00+00:00",
        },
        {},
    ]


def test_an_offer_is_bound_to_what_was_shown():
    """An approver says go to less than what they saw, not than what it has become."""
    gonogo, there, _ = client(
        {"POST /v1/launches/l-abc/offers": LAUNCH, "POST /v1/launches/l-abc/accept": LAUNCH}
    )
    gonogo.offer("l-abc", gate="lead", digest="a" * 64, parameters={"count": 1}, comment="enough")
    gonogo.accept("l-abc", "b" * 64)
    assert sent(there) == [
        {"gate": "lead", "digest": "a" * 64, "parameters": {"count": 1}, "comment": "enough"},
        {"digest": "b" * 64},
    ]


def test_a_broken_glass_is_asked_for_in_so_many_words():
    """A request that does not say so must never read as one."""
    gonogo, there, _ = client({"POST /v1/launches": LAUNCH})
    gonogo.submit("web-small", **ASKED, break_glass=True, launch_by=SOON)
    gonogo.dry_run("web-small", **ASKED, break_glass=True)
    gonogo.submit("web-small", **ASKED)
    assert [one.get("break_glass") for one in sent(there)] == [True, True, None]
    assert sent(there)[0]["launch_by"] == "2026-12-01T08:00:00+00:00"
    assert "break_glass" not in sent(there)[2]


def test_a_delegation_names_people_by_issuer_and_subject():
    """A `#` that is not escaped would cut the query short: the delegation would be one's own."""
    gonogo, there, _ = client(
        {"PUT /v1/delegation": {}, "GET /v1/delegation": {}, "DELETE /v1/delegation": {}}
    )
    gonogo.delegate(SOMEBODY, until=SOON, since=SOON - timedelta(days=1), of=SOMEBODY)
    gonogo.delegation(SOMEBODY)
    gonogo.end_delegation(SOMEBODY)
    gonogo.delegate(SOMEBODY, until=SOON.astimezone(timezone(timedelta(hours=1))))
    assert [request.url.params.get("of") for request in there.asked] == [*[SOMEBODY.key] * 3, None]
    assert json.loads(there.asked[0].content) == {
        "to": {"issuer": SOMEBODY.issuer, "subject": SOMEBODY.subject},
        "until": "2026-12-01T08:00:00+00:00",
        "since": "2026-11-30T08:00:00+00:00",
    }
    assert json.loads(there.asked[3].content)["until"] == "2026-12-01T09:00:00+01:00"


@pytest.mark.parametrize(
    "call",
    [
        lambda gonogo, at: gonogo.submit("web-small", **ASKED, launch_by=at),
        lambda gonogo, at: gonogo.amend("l-abc", launch_by=at),
        lambda gonogo, at: gonogo.delegate(SOMEBODY, until=at),
        lambda gonogo, at: gonogo.delegate(SOMEBODY, until=SOON, since=at),
    ],
)
def test_a_time_of_no_zone_is_refused_before_it_is_sent(call):
    """Whether eight o'clock is theirs or ours decides whether it is launched."""
    gonogo, there, _ = client({})
    with pytest.raises(ValueError, match="no time zone"):
        call(gonogo, SOON.replace(tzinfo=None))
    assert there.asked == []


def test_a_policy_is_asked_for_once_whatever_is_lost():
    """Two launches for one change are one too many: the second would fail when the first is in force."""
    gonogo, there, _ = client({"PUT /v1/policy": [CUT, BUSY, httpx.Response(202, json=LAUNCH)]})
    assert gonogo.propose_policy({"gates.toml": "x"}, reason="r") == LAUNCH
    assert len({request.headers["Idempotency-Key"] for request in there.asked}) == 1
    assert sent(there) == [{"files": {"gates.toml": "x"}, "reason": "r"}] * 3
    gonogo.propose_policy({"gates.toml": "x"}, reason="r", idempotency_key="mine")
    assert there.asked[-1].headers["Idempotency-Key"] == "mine"


def test_a_note_by_token_sends_no_bearer_and_no_verdict():
    """A system that holds nothing but its token can say how far it is, and decides nothing by it."""
    gonogo, there, _ = client({"POST /v1/decisions": LAUNCH})
    assert gonogo.note_by_token("gng_abc", "40 % done") == LAUNCH
    assert "Authorization" not in there.asked[0].headers
    assert sent(there) == [{"token": "gng_abc", "note": "40 % done"}]


def test_another_policy_and_its_difference_can_be_read():
    """An approver reads what would be in force, and what that changes."""
    gonogo, there, _ = client(
        {"GET /v1/policy": {"bundle": "b"}, "GET /v1/launches/l-abc/diff": {"files": {"gates.toml": "+x"}}}
    )
    assert gonogo.policy("a" * 64) == {"bundle": "b"}
    assert gonogo.difference("l-abc") == {"gates.toml": "+x"}
    assert there.asked[0].url.params["bundle"] == "a" * 64
