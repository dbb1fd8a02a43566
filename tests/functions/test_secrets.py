"""Approval codes are in the mail, and nowhere else: not stored, not told, not logged."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from gonogo.core import token
from local.aws import client
from tests.functions.faults import on_each_call, refusing
from tests.functions.policy import person, policy
from tests.functions.world import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUEUES = (
    "NotifyQueue",
    "NotifyDead",
    "DeliverQueue",
    "DeliverDead",
    "LaunchQueue",
    "LaunchDead",
    "ObserveQueue",
    "ObserveDead",
    "PublishDead",
)


def spellings(code: str) -> list[str]:
    """Return the code, its MAC and its payload in the forms in which they could lie about."""
    raw = base64.urlsafe_b64decode(
        code.removeprefix(token.PREFIX) + "=" * (-len(code.removeprefix(token.PREFIX)) % 4)
    )
    mac, payload = raw[-token.MAC_BYTES :], raw[: -token.MAC_BYTES]
    found = [code, token.PREFIX, code.removeprefix(token.PREFIX)[-40:], SECRET]
    for part in (mac, payload):
        found += [
            part.hex(),
            base64.b64encode(part).decode().rstrip("="),
            base64.urlsafe_b64encode(part).decode().rstrip("="),
        ]
    return found


def test_a_code_is_nowhere_but_where_it_was_sent(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the table, the bus, a queue or the logs can decide nothing by that."""
    caplog.set_level(logging.DEBUG, logger="gonogo")
    client("ssm").put_parameter(Name="/gonogo/webhooks/finance-secret", Value=SECRET, Type="SecureString")
    hooked = person("finance", "finance", webhook="https://hooks.example.com/f", private=True)
    world.publish(policy(hooked, without=("finance",)))
    carried: list[str] = []

    def listen(operation: str, parameters: Any) -> None:
        if operation not in ("sesv2.SendEmail", "kms.GenerateMac", "kms.VerifyMac", "ssm.GetParameter"):
            carried.append(f"{operation} {parameters!r}")

    with on_each_call(before=listen):
        codes = live(world)
    assert len(codes) == 3
    told = [json.dumps(one) for one in world.events()]
    assert told
    left = [body for name in QUEUES for body in world.messages(world.stack.look(name, None))]
    rows = [json.dumps(row, default=repr) for row in world.rows()]
    everything = "\n".join([*carried, *told, *left, *rows, caplog.text])
    for code in codes:
        for spelling in spellings(code):
            assert spelling not in everything, spelling
    assert "marketing" in everything


def live(world: World) -> set[str]:
    """Let a launch live with faults on its way, and return every code that was sent."""
    world.ask()
    with on_each_call(before=refusing("sesv2.SendEmail", "TooManyRequestsException")):
        world.settle()
    world.clock.go(minutes=1)
    world.wake()
    launch = world.ask(template="gpu-large")
    world.settle()
    codes = {world.token("lead")}
    wrong = next(iter(codes))[:-2] + "AA"
    for text in (*codes, wrong, wrong + "=", f"{wrong} "):
        world.call("POST", "/v1/decisions", {"token": text, "verdict": "approve"})
        world.form("/decide", code=text)
    world.call("POST", "/v1/decisions", {"token": [wrong], "verdict": 7})
    world.settle()
    codes |= {world.token("finance"), world.posted.posts[0]["body"]["data"]["token"]}
    with on_each_call(before=refusing("dynamodb.UpdateItem", "InternalServerError", http=500)):
        for code in codes:
            world.call("POST", "/v1/decisions", {"token": code, "verdict": "approve"})
    world.call(
        "POST",
        "/v1/decisions",
        {"token": world.posted.posts[0]["body"]["data"]["token"], "verdict": "approve"},
    )
    world.settle()
    assert world.read(launch["id"])["state"] == "RUNNING"
    return codes


def test_an_error_says_nothing_of_what_went_wrong_inside(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the particulars; the answer has none: no stack, no table, no account."""
    launch = world.ask()
    words = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized"
    with on_each_call(before=refusing("dynamodb.GetItem", "AccessDeniedException", words)):
        answer = world.call("GET", f"/v1/launches/{launch['id']}", who="dev")
    assert (answer.code, answer.headers["content-type"]) == (500, "application/problem+json")
    for inside in ("arn:", "123456789012", "Traceback", "gonogo-Table", "AccessDenied", "dynamodb"):
        assert inside not in answer.text
    assert words in caplog.text


def test_a_bearer_token_is_in_no_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A log that holds logins is a way in."""
    caplog.set_level(logging.DEBUG)
    bearer = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJkZXYifQ.c2lnbmF0dXJl"
    for path in ("/v1/launches", "/v1/inbox", "/v1/launches/x"):
        assert world.call("GET", path, who=bearer).code == 403
    with on_each_call(before=refusing("dynamodb.GetItem", "AccessDeniedException")):
        assert world.call("GET", "/v1/inbox", who=bearer).code == 500
    assert bearer not in caplog.text


def test_a_webhooks_secret_is_read_when_it_is_used(world: World) -> None:
    """The signing secret stays in the parameter store: it is neither in the policy nor with the notice."""
    client("ssm").put_parameter(Name="/gonogo/webhooks/lead-secret", Value=SECRET, Type="SecureString")
    world.publish(
        policy(person("lead", "leads", mail=False, webhook="https://h.example.com/x"), without=("lead",))
    )
    world.ask()
    with on_each_call() as calls:
        world.settle()
    assert calls.count("ssm.GetParameter") == 1
    assert world.posted.posts[0]["secrets"] == (SECRET,)
    assert SECRET not in json.dumps(world.rows(), default=repr)
    assert SECRET not in world.call("GET", "/v1/policy", who="dev").text
