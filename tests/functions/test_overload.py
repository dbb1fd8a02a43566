"""Too much at once, over the real API: what is answered, what it costs, and that whoever may decide still can."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import msgspec
import pytest

from functions.openapi import document
from gonogo.core import token
from gonogo.core.limit import FAILURES, HOUR, REQUESTS, Limit
from gonogo.service.limits import Limits
from tests.functions.faults import on_each_call
from tests.functions.matrix import Bearers
from tests.functions.world import Answer, World


def raw(code: str) -> bytes:
    """Return the payload and the MAC of a code."""
    body = code.removeprefix(token.PREFIX)
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def forged(code: str, number: int) -> str:
    """Return a code that says what a good one says, with a signature that is none."""
    return token.write(raw(code)[: -token.MAC_BYTES], number.to_bytes(token.MAC_BYTES, "big"))


def by_form(world: World, code: str) -> Answer:
    """Send a code by the page."""
    return world.form("/decide", code=code)


def by_api(world: World, code: str) -> Answer:
    """Send a code as a machine does."""
    return world.call("POST", "/v1/decisions", {"token": code, "verdict": "approve"})


def by_note(world: World, code: str) -> Answer:
    """Send a code with a note, as a system does that is not done yet."""
    return world.call("POST", "/v1/decisions", {"token": code, "note": "half way"})


def by_answer(world: World, code: str) -> Answer:
    """Send a code with an answer, as whoever has seen the page does."""
    return world.form("/decide", code=code, digest="0" * 64, answer="GO")


def by_no_answer(world: World, code: str) -> Answer:
    """Send a code with an answer that is none."""
    return world.form("/decide", code=code, digest="0" * 64, answer="perhaps")


def limited(answer: Answer, limit: str, quota: int, window: int) -> int:
    """Assert that an answer says which limit it is and when to try again; return the seconds."""
    assert answer.code == 429, answer.text
    wait = answer.headers["retry-after"]
    assert re.fullmatch("[1-9][0-9]*", wait)
    assert answer.headers["ratelimit-policy"] == f'"{limit}";q={quota};w={window}'
    assert answer.headers["ratelimit"] == f'"{limit}";r=0;t={wait}'
    assert answer.headers["cache-control"] == "no-store"
    return int(wait)


@pytest.mark.parametrize("send", [by_form, by_api, by_note, by_answer, by_no_answer])
def test_an_approver_decides_in_the_midst_of_a_flood(
    world: World, send: Callable[[World, str], Answer]
) -> None:
    """S15: forged codes in the approver's name for the very gate, from the approver's own address."""
    launch = world.ask()
    world.settle()
    code = world.token("lead")
    codes = [send(world, forged(code, number)).code for number in range(FAILURES.quota + 3)]
    assert codes == [404] * FAILURES.quota + [429] * 3
    assert limited(send(world, forged(code, 999)), "failed-attempts", 30, 60) == 2
    assert by_form(world, code).code == 200
    decided = world.form("/decide", code=code, digest=launch["digest"], answer="GO")
    assert decided.code == 200, decided.text
    assert world.read(launch["id"])["state"] == "PENDING"


def test_what_could_be_none_of_ours_costs_no_call_of_kms(world: World) -> None:
    """A verified MAC is a thing that costs money, and codes can be made up for nothing."""
    world.ask()
    world.settle()
    code = world.token("lead")
    claim, _, _ = token.read(code, now=world.clock(), epoch=1)
    other = token.payload(msgspec.structs.replace(claim, digest=b"\0" * 32))
    with on_each_call() as made:
        for number in range(FAILURES.quota + 5):
            by_api(world, "gng_AAAA")
            by_form(world, token.write(other, number.to_bytes(token.MAC_BYTES, "big")))
    assert made.count("kms.VerifyMac") <= FAILURES.quota
    assert by_form(world, code).code == 200


def test_forged_bearers_are_told_to_wait_and_cost_nobody_anything(world: World) -> None:
    """S15: signed by another key, in the name of somebody who works from the same address; no header says another."""
    bearers = Bearers(world)
    answers = [
        world.call(
            "GET",
            "/v1/inbox",
            who=bearers.of("forged"),
            headers={"x-forwarded-for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"},
        )
        for number in range(FAILURES.quota + 1)
    ]
    assert [one.code for one in answers] == [401] * FAILURES.quota + [429]
    limited(answers[-1], "failed-attempts", 30, 60)
    assert answers[-1].json["type"] == "urn:gonogo:problem:too-many"
    assert world.call("GET", "/v1/inbox", who=bearers.of("requester")).code == 200


def test_an_actor_who_asks_too_often_is_told_when_to_ask_again(world: World) -> None:
    """And is let in as soon as that time is over."""
    for _ in range(REQUESTS.quota):
        world.gonogo.limits.use(REQUESTS, "http://gonogo.local#dev", world.clock())
    answer = world.call("GET", "/v1/inbox", who="dev")
    wait = limited(answer, "requests", 600, 60)
    assert answer.json["detail"] == "Too many requests: at most 600 in 60 s. Try again in 1 s."
    assert world.call("GET", "/v1/inbox", who="lead").code == 200
    world.clock.go(seconds=wait)
    assert world.call("GET", "/v1/inbox", who="dev").code == 200


def test_a_page_says_when_to_try_again_in_words(world: World) -> None:
    """A person sees no header; and nothing of what the code is for, which is not proven."""
    world.ask()
    world.settle()
    code = world.token("lead")
    for number in range(FAILURES.quota):
        by_form(world, forged(code, number))
    answer = by_form(world, "gng_typo")
    limited(answer, "failed-attempts", 30, 60)
    assert answer.headers["content-type"].startswith("text/html")
    assert "Please try again in 2 seconds." in answer.text


def test_launches_an_hour_are_limited_as_the_deployment_says(world: World) -> None:
    """A script that has run wild must not flood the approvers with mail."""
    world.gonogo.limits = Limits(Limit("launches", 12, HOUR))
    asked = {"template": "web-small", "reason": "a page for the fair", "cost_center": "marketing"}
    codes = [world.call("POST", "/v1/launches", asked, who="dev").code for _ in range(12)]
    assert codes == [201] * 12
    answer = world.call("POST", "/v1/launches", asked, who="dev")
    assert limited(answer, "launches", 12, 3600) == 3600
    assert world.call("POST", "/v1/launches?dry_run=true", asked, who="dev").code == 200
    world.clock.go(hours=1)
    assert world.call("POST", "/v1/launches", asked, who="dev").code == 201


def test_whoever_decides_on_and_on_is_told_when_to_decide_again(world: World) -> None:
    """Each decision is confirmed by mail, so somebody who plays with it fills a mailbox."""
    launch = world.ask(template="gpu-large")
    verdicts = ["approve", "revoke"] * 6
    assert [world.decide(launch, "lead", "lead", one).code for one in verdicts] == [200] * 12
    assert limited(world.decide(launch, "lead", "lead"), "decisions", 6, 3600) == 3600
    world.clock.go(hours=1)
    assert world.decide(launch, "lead", "lead").code == 200


def test_the_description_names_429_where_it_can_come() -> None:
    """Who generates a client must know that it may be told to wait."""
    for path, methods in document()["paths"].items():
        for method, one in methods.items():
            may = bool(one["security"]) or (method, path) in (("post", "/decide"), ("post", "/v1/decisions"))
            assert ("429" in one["responses"]) == may, (method, path)


def test_limits_forget(world: World) -> None:
    """Whoever mistyped a code yesterday is as welcome as anybody."""
    codes = [by_api(world, "gng_typo").code for _ in range(FAILURES.quota + 1)]
    assert codes[-1] == 429
    world.clock.go(minutes=1)
    assert by_api(world, "gng_typo").code == 404
