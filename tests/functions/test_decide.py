"""Deciding a gate: who counts, how often, by which code, and what a code that is none is told."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from gonogo.core import token
from gonogo.core.token import Keyring
from tests.functions.policy import TWO_MORE_LEADS, TWO_OF_THREE, gate, person, policy
from tests.functions.test_submit import with_a_bot
from tests.functions.world import ISSUER, Answer, World, actor


def by_token(world: World, text: str, verdict: str = "approve", **more: Any) -> Answer:
    """Decide with a code, as a machine does."""
    return world.call("POST", "/v1/decisions", {"token": text, "verdict": verdict, **more})


def minted(
    world: World,
    launch_: Any,
    who: str,
    keys: Keyring = "people",
    *,
    key: Keyring | None = None,
    **changed: Any,
) -> str:
    """Make a code with the real key, as only notify and deliver can: an attacker who has their power.

    `changed` replaces fields of the claim; `key` signs with another key than the one that the claim names.
    """
    (first, *_) = launch_["gates"]
    claim = token.claim(
        keys=keys,
        launch=launch_["id"],
        gate=first["name"],
        round=first["round"],
        actor=actor(who),
        digest=launch_["digest"],
        expires_at=world.clock() + timedelta(days=3),
        epoch=1,
    )
    payload = token.payload(msgspec.structs.replace(claim, **changed))
    return token.write(payload, world.gonogo.macs.make(key or keys, payload))


def problem(answer: Answer) -> tuple[int, str]:
    """Return the code and the short type of a refusal."""
    return answer.code, answer.json["type"].removeprefix("urn:gonogo:problem:")


def asked(world: World, files: dict[str, str] | None = None, **more: Any) -> Any:
    """Return a launch whose first gate is open and whose approvers were asked."""
    if files is not None:
        world.publish(files)
    launch = world.ask(**more)
    world.settle()
    return launch


def test_the_same_approver_twice_is_one(world: World) -> None:
    """A quorum counts people; whoever repeats a decision, on whichever way, has changed nothing."""
    launch = asked(world, TWO_OF_THREE)
    code = world.token("lead")
    first = by_token(world, code)
    assert (first.code, first.json["gates"][0]["approvals"]) == (200, 1)
    rows = world.rows()
    for repeated in (
        by_token(world, code),
        world.decide(launch, "lead", "lead"),
        by_token(world, code, comment="x"),
    ):
        assert (repeated.code, repeated.json) == (200, first.json)
    assert world.rows() == rows
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"


def test_quorum_of_two_among_three(world: World) -> None:
    """Two different people open the gate; the third, too late, is told that it is decided."""
    launch = asked(world, TWO_OF_THREE)
    codes = {who: world.token(who) for who in ("lead", "lead2", "lead3")}
    assert by_token(world, codes["lead2"]).json["state"] == "PENDING_APPROVAL"
    done = by_token(world, codes["lead3"])
    assert (done.json["state"], done.json["gates"][0]["state"]) == ("PENDING", "GO")
    assert problem(by_token(world, codes["lead"])) == (409, "gate-not-open")
    assert by_token(world, codes["lead3"]).code == 200
    world.settle()
    assert len(world.instances()) == 1
    assert [one["subject"] for one in world.events()[-2]["data"]["approvers"]] == ["lead2", "lead3"]
    assert launch["gates"][0]["quorum"] == 2


def test_the_opposite_needs_taking_back_first(world: World) -> None:
    """Nobody says yes and no; to change one's mind is an act of its own, and on record."""
    launch = asked(world, TWO_OF_THREE)
    code = world.token("lead")
    by_token(world, code)
    rows = world.rows()
    assert problem(by_token(world, code, "reject")) == (409, "already-decided")
    assert problem(world.decide(launch, "lead", "lead", "reject")) == (409, "already-decided")
    assert world.rows() == rows
    back = by_token(world, code, "revoke")
    assert (back.code, back.json["gates"][0]["approvals"]) == (200, 0)
    assert by_token(world, code, "reject").json["state"] == "REJECTED"
    told = world.call("GET", f"/v1/launches/{launch['id']}/events", who="dev").json["items"]
    assert [one["data"]["verdict"] for one in told if one["type"] == "gate.decided"] == [
        "approve",
        "revoke",
        "reject",
    ]


def test_a_decision_is_taken_back_until_the_launch_is_cleared(world: World) -> None:
    """With another stage to go the gate opens again, under a new round whose code the old one is not."""
    launch = asked(world, template="gpu-large")
    old = world.token("lead")
    by_token(world, old)
    world.settle()
    back = by_token(world, old, "revoke")
    assert [(one["name"], one["state"], one["round"]) for one in back.json["gates"]] == [
        ("lead", "OPEN", 2),
        ("finance", "OPEN", 1),
    ]
    world.settle()
    new = world.token("lead")
    assert new != old
    assert problem(by_token(world, old)) == (409, "gate-not-open")
    assert by_token(world, new).code == 200
    assert by_token(world, world.token("finance")).json["state"] == "PENDING"
    assert problem(by_token(world, new, "revoke")) == (409, "wrong-state")
    assert world.decide(launch, "lead", "lead", "revoke").code == 409


def test_a_code_of_an_old_round_takes_nothing_back(world: World) -> None:
    """A code dies with its round: what was decided anew is not undone with a code from before."""
    launch = asked(world, template="gpu-large")
    old = world.token("lead")
    world.decide(launch, "lead", "lead")
    world.decide(launch, "lead", "lead", "revoke")
    assert world.decide(launch, "lead", "lead").code == 200
    assert problem(by_token(world, old, "revoke")) == (409, "gate-not-open")
    assert world.read(launch["id"])["gates"][0]["state"] == "GO"


def test_a_decision_of_an_old_round_is_its_own_codes(world: World) -> None:
    """Who still counts from before the gate opened again may take that back by the code it was said with."""
    launch = asked(world, policy(TWO_MORE_LEADS, lead=gate("lead", quorum=2)), template="gpu-large")
    kept, given_back = world.token("lead"), world.token("lead2")
    by_token(world, kept)
    by_token(world, given_back)
    assert by_token(world, given_back, "revoke").json["gates"][0]["round"] == 2
    assert by_token(world, kept).code == 200
    back = by_token(world, kept, "revoke")
    assert (back.code, back.json["gates"][0]["approvals"]) == (200, 0)
    assert launch["gates"][0]["round"] == 1


def test_whoever_asked_decides_on_no_channel(world: World) -> None:
    """The requester is a lead too, has a code made with the real keys, and still counts for nothing."""
    files = policy(TWO_MORE_LEADS)
    files["people.toml"] = files["people.toml"].replace(
        'groups = ["developers"]', 'groups = ["developers", "leads"]'
    )
    files["people.toml"] = files["people.toml"].replace(
        'mail = "dev@example.com"',
        'mail = "dev@example.com"\n'
        'webhook = { url = "https://a.example.com", secret = "dev", private = true }',
    )
    launch = asked(world, files)
    assert "dev" not in [one["subject"] for one in launch["gates"][0]["approvers"]]
    assert not [mail for mail in world.mails("dev") if "GO or NO-GO" in str(mail["Subject"])]
    assert world.call("GET", "/v1/inbox", who="dev").json["items"] == []
    rows = world.rows()
    people, hook = minted(world, launch, "dev"), minted(world, launch, "dev", "hook")
    for verdict in ("approve", "reject", "revoke"):
        for answer in (
            world.decide(launch, "dev", "lead", verdict),
            by_token(world, people, verdict),
            by_token(world, hook, verdict),
        ):
            assert answer.code in (403, 409)
            assert problem(answer) in ((403, "self-approval"), (409, "gate-not-open"))
    for fields in ({}, {"digest": launch["digest"], "answer": "GO"}):
        assert world.form("/decide", code=people, **fields).code == 403
    assert world.rows() == rows


def test_whoever_it_is_for_decides_on_no_channel(world: World) -> None:
    """Asking by way of a pipeline must not free the person behind it to say yes."""
    files = with_a_bot()
    files["people.toml"] = files["people.toml"].replace(
        'groups = ["developers"]', 'groups = ["developers", "leads"]'
    )
    files["people.toml"] = files["people.toml"].replace('groups = ["bots"]', 'groups = ["bots", "leads"]')
    world.publish(files)
    body = {
        "template": "web-small",
        "reason": "nightly",
        "cost_center": "ci",
        "on_behalf_of": {"issuer": ISSUER, "subject": "dev"},
    }
    launch = world.call("POST", "/v1/launches", body, who="bot").json
    world.settle()
    rows = world.rows()
    for who in ("dev", "bot"):
        assert problem(world.decide(launch, who, "lead")) == (403, "self-approval")
        assert problem(by_token(world, minted(world, launch, who))) == (403, "self-approval")
    assert world.rows() == rows
    assert [one["subject"] for one in launch["gates"][0]["approvers"]] == ["lead"]


def test_nobody_else_decides(world: World) -> None:
    """Neither another group, nor another issuer's person of that name, nor a service, nor a claim."""
    files = policy(person("robot", "leads", service=True))
    files["people.toml"] += (
        '[[people]]\nname = "lead elsewhere"\nissuer = "http://other.local"\nsubject = "lead"\n'
        'groups = ["developers"]\n'
    )
    launch = asked(world, files)
    rows = world.rows()
    for who in ("finance", "ops", "robot", "Lead", "ops+leads"):
        assert world.decide(launch, who, "lead").code == 403, who
    for who in ("finance", "ops", "robot", "nobody"):
        assert problem(by_token(world, minted(world, launch, who))) == (403, "not-eligible")
    elsewhere = minted(world, launch, "lead", issuer="http://other.local")
    assert problem(by_token(world, elsewhere)) == (403, "not-eligible")
    assert world.decide(launch, "lead", "finance").code == 404
    assert world.rows() == rows


def test_a_code_is_for_one_launch_gate_round_and_digest(world: World) -> None:
    """A code that was sent, in parts and as a whole, is good for nothing else."""
    first = asked(world, template="gpu-large")
    code = world.token("lead")
    second = asked(world, template="gpu-large", reason="another")
    by_token(world, code)
    changed = world.read(second["id"])
    assert changed["gates"][0]["approvals"] == 0
    rows = world.rows()
    refusals: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
        "another gate": ({"gate": "finance"}, (403, "not-eligible")),
        "a gate there is not": ({"gate": "cfo"}, (404, "not-found")),
        "a later round": ({"round": 2}, (409, "gate-not-open")),
        "an earlier round": ({"round": 0}, (409, "gate-not-open")),
        "the digest of another launch": ({"digest": bytes.fromhex(first["digest"])}, (409, "stale-digest")),
        "no digest": ({"digest": b""}, (409, "stale-digest")),
        "a launch there is not": ({"launch": "l-" + "a" * 32}, (404, "token-invalid")),
        "another form": ({"form": 2}, (404, "token-invalid")),
        "another epoch": ({"epoch": 2}, (404, "token-invalid")),
        "expired": ({"expires": int(world.clock().timestamp())}, (404, "token-invalid")),
        "the hook's key": ({"key": "hook"}, (404, "token-invalid")),
    }
    for name, (changes, expected) in refusals.items():
        wrong = minted(world, second, "lead", **changes)
        assert problem(by_token(world, wrong)) == expected, name
        assert world.form("/decide", code=wrong).code == expected[0], name
    assert world.rows() == rows
    assert by_token(world, minted(world, second, "lead")).code == 200


def test_one_second_is_between_a_code_and_none(world: World) -> None:
    """Expiry is an instant: just before it a code counts, at it no more."""
    launch = asked(world)
    code = world.token("lead")
    world.clock.go(days=3, seconds=-1)
    assert world.form("/decide", code=code).code == 200
    world.clock.go(seconds=1)
    assert problem(by_token(world, code)) == (404, "token-invalid")
    assert world.form("/decide", code=code).code == 404
    assert world.read(launch["id"])["gates"][0]["decisions"] == []


def test_a_raised_epoch_voids_every_code(world: World) -> None:
    """After a table was restored, no code from before may be used again."""
    asked(world)
    code = world.token("lead")
    world.gonogo.settings = msgspec.structs.replace(world.gonogo.settings, epoch=2)
    assert problem(by_token(world, code)) == (404, "token-invalid")


def test_the_key_before_still_verifies_and_no_other(world: World) -> None:
    """Keys are changed without voiding what is under way; the hook's key never speaks for people."""
    from gonogo.bootstrap import Gonogo, install
    from local.aws import client

    launch = asked(world, TWO_OF_THREE)
    codes = [world.token(who) for who in ("lead", "lead2")]
    new = client("kms").create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]
    old = world.gonogo.settings.people_keys
    known = world.guard.rights.policies
    known[new] = [msgspec.structs.replace(one, resources=(new,)) for one in known[old[0]]]

    def composed(*keys: str) -> Gonogo:
        settings = msgspec.structs.replace(world.gonogo.settings, people_keys=keys)
        return Gonogo(settings, now=world.clock, trusts=world.gonogo.trusts, identity=world.gonogo.identity)

    install(composed(new))
    assert problem(by_token(world, codes[0])) == (404, "token-invalid")
    install(composed(new, *old))
    assert by_token(world, codes[0]).code == 200
    assert launch["gates"][0]["approvals"] == 0


def mutations(code: str) -> Iterator[str]:
    """Yield texts that are not the code: near it, in other spellings of it, and nothing like it."""
    body = code.removeprefix("gng_")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    flipped = bytes([raw[0] ^ 1]) + raw[1:]
    for data in (
        flipped,
        raw[:-1],
        raw + b"\0",
        raw[:-32],
        raw[-32:],
        raw[:40] + raw[41:],
        raw[:-32] + bytes(32),
    ):
        yield "gng_" + base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    yield "gng_" + body[:-1] + next(one for one in "AQgw" if one != body[-1])
    for pad in ("=", "==", " ", "\n", "\r\n", "\t", "\0", "\u00a0", "\u200b", "%", "#", "?x=1", "."):
        yield code + pad
        yield pad + code
    yield code.upper()
    yield code.lower()
    yield code.swapcase()
    yield "GNG_" + body
    yield body
    yield "gng_gng_" + body
    yield "gng-" + body
    yield "gng_" + base64.b64encode(raw).decode()
    yield quote(code, safe="")[:-1] + "%" + format(ord(code[-1]), "02x")
    yield code.replace("_", "%5F", 1)
    yield code.replace("g", "\uff47", 1)
    yield code.replace("g", "\u0261", 1)
    yield code[:20] + "\n" + code[20:]
    yield code[:20] + "-" + code[20:]
    yield from (
        "",
        "gng_",
        "gng_A",
        "gng_" + "A" * 1496,
        "gng_" + "A" * 1497,
        "A" * 4096,
        "null",
        "\u0000",
        "gng_....",
    )


def test_what_is_no_code_gets_one_answer(world: World) -> None:
    """Whoever guesses, or changes a code by a bit, a blank or a case, learns nothing from the answer."""
    launch = asked(world)
    code = world.token("lead")
    rows = world.rows()
    texts = [one for one in mutations(code) if one != code]
    world.gonogo.now = world.clock.ticking  # nobody is told to wait
    answers = [by_token(world, one) for one in texts]
    shapes = {(one.code, tuple(sorted(one.headers.items())), one.text) for one in answers}
    assert len(shapes) == 1, [text for text, one in zip(texts, answers, strict=True) if one.code != 404]
    pages = {(one.code, tuple(sorted(one.headers.items())), one.text) for one in _pages(world, texts)}
    assert len(pages) == 1
    others = [
        minted(world, launch, "lead", key="hook"),
        minted(world, launch, "lead", "hook", key="people"),
        minted(world, launch, "lead", launch="l-" + "b" * 32),
        minted(world, launch, "lead", epoch=7),
        minted(world, launch, "lead", expires=0),
    ]
    shapes |= {
        (one.code, tuple(sorted(one.headers.items())), one.text)
        for one in map(by_token, itertools.repeat(world), others)
    }
    assert len(shapes) == 1
    assert problem(answers[0]) == (404, "token-invalid")
    assert world.rows() == rows
    assert by_token(world, code).code == 200


def _pages(world: World, texts: list[str]) -> list[Answer]:
    """Return what the decision page answers to texts that a form can carry."""
    return [world.form("/decide", code=one) for one in texts if one and len(one) < 2000]


def test_a_code_in_the_address_is_no_code(world: World) -> None:
    """An address is logged everywhere; what stands in it decides nothing and shows nothing."""
    asked(world)
    code = world.token("lead")
    rows = world.rows()
    for path in (f"/decide?code={code}", f"/decide?token={code}&answer=GO", f"/launches/{code}"):
        answer = world.call("GET", path)
        assert code not in answer.text
        assert "marketing" not in answer.text
    assert world.call("POST", f"/v1/decisions?token={code}", {"verdict": "approve"}).code == 400
    assert world.call("POST", "/v1/decisions", {"verdict": "approve"}, headers={"x-token": code}).code == 400
    assert world.call("POST", "/v1/decisions", {"verdict": "approve"}, who=code).code == 400
    assert world.rows() == rows


def test_a_code_is_no_login(world: World) -> None:
    """A code decides its gate; it reads no launch, and is nobody's bearer token."""
    launch = asked(world)
    code = world.token("lead")
    for path in (f"/v1/launches/{launch['id']}", "/v1/inbox", "/v1/launches"):
        assert world.call("GET", path, who=code).code == 403


def test_an_approver_who_left_decides_no_more(world: World) -> None:
    """Authority is asked for when it is used: a code outlives nobody's seat."""
    launch = asked(world, policy(TWO_MORE_LEADS))
    code = world.token("lead")
    world.publish(policy(TWO_MORE_LEADS, without=("lead",)))
    assert problem(by_token(world, code)) == (403, "not-eligible")
    assert world.decide(launch, "lead", "lead").code == 403
    assert world.form("/decide", code=code).code == 403
    assert by_token(world, world.token("lead2")).code == 200


def test_who_joins_later_does_not_count(world: World) -> None:
    """Rules are those that the launch was judged by: nobody is made an approver to let it pass."""
    launch = asked(world)
    world.publish(policy(TWO_MORE_LEADS))
    assert problem(world.decide(launch, "lead2", "lead")) == (403, "not-eligible")
    assert problem(by_token(world, minted(world, launch, "lead2"))) == (403, "not-eligible")


def test_who_changes_groups_does_not_count(world: World) -> None:
    """A lead who is moved to finance says go for neither gate of what was asked before."""
    launch = asked(world, policy(TWO_MORE_LEADS), template="gpu-large")
    code = world.token("lead")
    files = policy(TWO_MORE_LEADS)
    files["people.toml"] = files["people.toml"].replace(
        'subject = "lead"\ngroups = ["leads"]', 'subject = "lead"\ngroups = ["finance"]'
    )
    world.publish(files)
    assert problem(by_token(world, code)) == (403, "not-eligible")
    by_token(world, world.token("lead2"))
    assert world.decide(launch, "lead", "finance").code == 403


def test_a_weaker_rule_is_not_for_what_waits(world: World) -> None:
    """Lowering the quorum opens no gate that was opened under the higher one."""
    launch = asked(world, TWO_OF_THREE)
    world.publish(policy(TWO_MORE_LEADS, lead=gate("lead", quorum=1)))
    assert world.decide(launch, "lead", "lead").json["state"] == "PENDING_APPROVAL"
    world.settle()
    assert world.instances() == []


def test_a_gate_that_wants_a_login_takes_no_code(world: World) -> None:
    """Above the threshold a link is a pointer: none is made, and one made with the real key is refused."""
    launch = asked(world, policy(lead=gate("lead", login=True)))
    (mail,) = world.mails("lead")
    assert "gng_" not in mail.as_string()
    assert f"launches/{launch['id']}" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    rows = world.rows()
    for keys in ("people", "hook"):
        assert problem(by_token(world, minted(world, launch, "lead", keys))) == (403, "not-permitted")  # type: ignore[arg-type]
    assert world.rows() == rows
    assert world.decide(launch, "lead", "lead").json["state"] == "PENDING"


def test_a_hooks_code_counts_for_a_private_webhook_only(world: World) -> None:
    """Deliver dials strangers: were it taken over, its key must not speak for whoever reads mail."""
    hooked = person("lead2", "leads", mail=False, webhook="https://a.example.com/hook", private=True)
    shared = person("lead3", "leads", mail=False, webhook="https://b.example.com/hook")
    launch = asked(world, policy(hooked, shared))
    rows = world.rows()
    for who in ("lead", "lead3"):
        code = minted(world, launch, who, "hook")
        assert problem(by_token(world, code)) == (403, "not-permitted")
        assert world.form("/decide", code=code).code == 403
    assert world.rows() == rows
    done = by_token(world, minted(world, launch, "lead2", "hook"))
    assert (done.code, done.json["gates"][0]["decisions"][0]["channel"]) == (200, "webhook")


def test_a_digest_that_was_not_shown_decides_nothing(world: World) -> None:
    """Who was shown one thing does not approve another."""
    launch = asked(world)
    rows = world.rows()
    answer = world.decide({**launch, "digest": "0" * 64}, "lead", "lead")
    assert problem(answer) == (409, "stale-digest")
    code = world.token("lead")
    assert world.form("/decide", code=code, digest="0" * 64, answer="GO").code == 409
    assert world.rows() == rows


MISREAD: tuple[dict[str, Any], ...] = (
    {},
    {"verdict": "approve"},
    {"token": "gng_AAAA"},
    {"token": "gng_AAAA", "verdict": "yes"},
    {"token": "gng_AAAA", "verdict": "APPROVE"},
    {"token": None, "verdict": "approve"},
    {"token": ["gng_AAAA"], "verdict": "approve"},
    {"token": "gng_AAAA", "verdict": "approve", "actor": "lead"},
    {"token": "gng_AAAA", "verdict": "approve", "digest": "0" * 64},
    {"token": "gng_AAAA", "verdict": "approve", "comment": ""},
    {"token": "gng_AAAA", "verdict": "approve", "comment": "x\u0000"},
    {"token": "gng_AAAA", "verdict": "approve", "note": "half way"},
    {"token": "gng_AAAA", "note": "half way", "comment": "x"},
)


def test_a_decision_is_read_strictly(world: World) -> None:
    """A misread decision is somebody's yes to something else."""
    for body in MISREAD:
        answer = world.call("POST", "/v1/decisions", body)
        assert (answer.code, answer.headers["content-type"]) == (400, "application/problem+json"), body
        assert answer.json["errors"]


def test_a_decision_says_only_what_a_decider_may(world: World) -> None:
    """Nobody decides in another's name, or writes what follows from deciding."""
    launch = asked(world)
    rows = world.rows()
    more = (
        {"actor": {"issuer": ISSUER, "subject": "lead"}},
        {"channel": "link"},
        {"quorum": 0},
        {"state": "GO"},
        {"round": 9},
    )
    for extra in more:
        assert world.decide(launch, "lead", "lead", **extra).code == 400
    assert world.decide(launch, "lead", "lead", digest="0" * 63).code == 400
    assert world.decide(launch, "lead", "lead", digest=launch["digest"].upper()).code == 400
    assert world.rows() == rows


def test_what_a_decider_says_of_it_is_kept(world: World) -> None:
    """Whoever is told no wants to know why, on whichever way it was said."""
    launch = asked(world)
    said = world.decide(launch, "lead", "lead", "reject", comment="too dear").json
    assert [one["comment"] for one in said["gates"][0]["decisions"]] == ["too dear"]
    assert world.read(launch["id"]) == said


def test_reject_ends_it_for_everybody(world: World) -> None:
    """One NO-GO is enough even where two must say go, and later words change nothing."""
    launch = asked(world, TWO_OF_THREE)
    codes = {who: world.token(who) for who in ("lead", "lead2", "lead3")}
    by_token(world, codes["lead"])
    assert by_token(world, codes["lead2"], "reject", comment="too dear").json["state"] == "REJECTED"
    rows = world.rows()
    assert problem(by_token(world, codes["lead3"])) == (409, "gate-not-open")
    assert problem(by_token(world, codes["lead2"], "approve")) == (409, "already-decided")
    assert problem(by_token(world, codes["lead"], "revoke")) == (409, "wrong-state")
    assert world.rows() == rows
    assert world.read(launch["id"])["gates"][0]["decisions"][1]["comment"] == "too dear"
