"""What the decision page and the webhooks say of amendments, hooks, reviews, stand-ins and changes of policy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest
from gonogo.service import amend, decide, delegate, identity, policies, submit
from gonogo.service.amend import Changes
from gonogo.service.identity import SignedIn
from local.aws import client
from tests import every_gate
from tests.functions.world import World, actor, world

NASTY = "<img src=x onerror=alert(1)> \u202egpj"


@pytest.fixture(name="world")
def gated_world() -> Any:
    """Give a world whose policy has gates of every kind."""
    with world(every_gate.policy()) as made:
        client("ssm").put_parameter(
            Name="/gonogo/webhooks/room", Value="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Type="SecureString"
        )
        yield made


def sign_in(world: World, who: str) -> SignedIn:
    """Sign somebody in."""
    return identity.sign_in(world.gonogo, f"Bearer {who}")


def ask(world: World, **more: Any) -> Launch:
    """Ask for a small web server, as dev."""
    fields = {"reason": "A page for the fair.", "cost_center": "marketing", "parameters": {}, **more}
    launch = submit.submit(
        world.gonogo, sign_in(world, "dev"), LaunchRequest(template="web-small", **fields), None
    )
    world.settle()
    return launch


def posted(world: World, kind: str = "notice.decide") -> dict[str, Any]:
    """Return the data of the newest webhook of this type."""
    found: dict[str, Any] = [one["body"] for one in world.posted.posts if one["body"]["type"] == kind][-1][
        "data"
    ]
    return found


def answered(world: World, **said: str) -> None:
    """Let the scanner post something with the token that it was sent."""
    answer = world.call("POST", "/v1/decisions", {"token": posted(world)["token"], **said})
    assert answer.code == 200, answer.text
    world.settle()


def scanned(world: World, comment: str = "no findings", **more: Any) -> Launch:
    """Return a launch that the scanner has let pass."""
    launch = ask(world, **more)
    answered(world, verdict="approve", comment=comment)
    return launch


def page(world: World, who: str = "lead") -> str:
    """Return the page that somebody's newest code shows."""
    shown = world.form("/decide", code=world.token(who))
    assert shown.code == 200, shown.text
    return shown.text


def test_a_system_is_posted_all_that_it_decides_by(world: World) -> None:
    """Which gate, of which kind, until when, and the token to answer with; its mail is a pointer."""
    launch = ask(world)
    data = posted(world)
    assert (data["gate"], data["kind"], data["place"], data["round"]) == (
        "scan",
        "hook",
        "before_approval",
        1,
    )
    assert data["expires_at"] == "2026-11-23T09:10:00Z"
    assert data["launch"]["id"] == launch.id
    answered(world, verdict="approve")
    assert world.read(launch.id)["gates"][0]["state"] == "GO"
    (mail,) = world.mails("scanner")
    assert "gng_" not in str(mail)


def test_the_page_of_an_amended_launch_shows_what_changed_and_what_the_hook_said(world: World) -> None:
    """Cost first, each old and new; and every gate with its state and notes."""
    launch = ask(world)
    amend.amend(
        world.gonogo, sign_in(world, "dev"), launch.id, Changes(parameters={"count": 3}, reason=NASTY)
    )
    world.settle()
    scanner = posted(world)
    assert {one["path"] for one in scanner["changes"]} >= {"price.monthly", "plan.parameters.count", "reason"}
    decide.note_by_token(world.gonogo, scanner["token"], note=f"40 % done {NASTY}")
    answered(world, verdict="approve", comment=f"fine {NASTY}")
    shown = page(world)
    for fact in (
        "Changed since it was first asked",
        "<bdi>7.60</bdi> &rarr; <strong><bdi>22.78</bdi></strong>",
        "<dt><bdi>count</bdi></dt><dd><bdi>1</bdi> &rarr; <strong><bdi>3</bdi></strong>",
        "Image scan: GO",
        "40 % done &lt;img",
        "fine &lt;img",
        "a system decides, before people are asked",
        "Team lead: open, 0 of 1 say GO",
        "Audit: waits for its turn",
        "people decide, after the launch",
    ):
        assert fact in shown
    assert "<img" not in shown
    assert "\u202e" not in shown


def test_every_clock_is_shown_as_a_time_of_the_calendar(world: World) -> None:
    """Nobody reckons with lengths of time on a phone."""
    scanned(world, launch_by=world.clock() + timedelta(days=6))
    shown = page(world)
    assert (
        '<dt>Decide by</dt><dd><time datetime="2026-11-28T09:00:00+00:00">Sat 28 Nov 2026, 09:00 UTC' in shown
    )
    assert (
        '<dt>Launch by</dt><dd><time datetime="2026-11-29T09:00:00+00:00">Sun 29 Nov 2026, 09:00 UTC' in shown
    )
    assert '<dt>GO stands</dt><dd>until <time datetime="2026-11-27T09:00:00+00:00">' in shown


def test_a_stand_in_reads_in_whose_place_they_decide(world: World) -> None:
    """Before they decide, and after; and so does whoever delegated."""
    delegate.delegate(
        world.gonogo,
        sign_in(world, "lead"),
        whom=actor("lead"),
        to=actor("finance"),
        since=None,
        until=world.clock() + timedelta(days=7),
    )
    launch = scanned(world)
    code = world.token("finance")
    assert "You decide <strong>in the place of</strong> <bdi>lead</bdi>" in page(world, "finance")
    own = world.token("lead")
    done = world.form("/decide", code=code, digest=launch.digest, answer="GO", comment="")
    assert "GO is recorded" in done.text
    assert "in the place of <bdi>lead</bdi>" in done.text
    assert "You have said GO" in world.form("/decide", code=code).text
    assert "finance has said GO in your place" in world.form("/decide", code=own).text


def test_a_review_reads_as_one_and_can_be_taken_back_while_it_is_open(world: World) -> None:
    """GO does not launch what runs already."""
    launch = ask(world, break_glass=True)
    world.settle()
    shown = page(world)
    assert "Was it right?" in shown
    assert "It runs already:" in shown
    done = world.form("/decide", code=world.token("lead"), digest=launch.digest, answer="NO-GO", comment="")
    assert "NO-GO is recorded" in done.text
    assert "REVOKE" not in done.text
    world.settle()
    assert "nothing is terminated" in str(world.mails("dev")[-1].get_body(("plain",)))


def test_a_change_of_policy_shows_its_difference_and_neither_cost_nor_lease(world: World) -> None:
    """What is approved is a text; its lease of a second and its price of nothing would mislead."""
    files = {**every_gate.policy()}
    files["gates.toml"] = files["gates.toml"].replace('title = "Finance"', 'title = "Fin<b>ance"\nquorum = 1')
    files["policies.cedar"] += f"// {NASTY}\n"
    policies.propose(world.gonogo, sign_in(world, "dev"), files, "Finance goes first.", None)
    world.settle()
    shown = page(world)
    for fact in (
        "Change of policy",
        '<span class="less">-title = &#34;Finance&#34;</span>',
        '<span class="more">+title = &#34;Fin&lt;b&gt;ance&#34;</span>',
        '<span class="more">+quorum = 1</span>',
        '<span class="more">+// &lt;img src=x onerror=alert(1)&gt; \u27e8U+202E\u27e9gpj</span>',
    ):
        assert fact in shown
    assert "in force</span>" not in shown
    for misleading in ("a month", "1 second", "0.00", "Paid by", "prices of"):
        assert misleading not in shown
    mail = str(world.mails("lead")[-1].get_body(("plain",)))
    assert "the policy: gates.toml, policies.cedar" in mail
    assert "a month" not in mail


def test_the_page_says_what_is_left_of_the_budget(world: World) -> None:
    """Whoever says go spends it."""
    world.publish({**every_gate.policy(), "budgets.toml": '[marketing]\nmonthly = "5.00"\n'})
    scanned(world)
    shown = page(world)
    assert "<dt>Budget</dt><dd>5.00 USD left of 5.00 USD" in shown
    assert "more than is left" in shown
