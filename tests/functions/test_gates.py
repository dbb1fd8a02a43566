"""Every kind of gate on the whole road: the API, the table, the stream, the bus, the queues and the launcher."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import jsonschema_rs
import pytest

from gonogo.core import event
from gonogo.core.launch import Launch
from gonogo.service import launch as launcher
from tests.functions.gated import ORACLE, SCANNER, gated, hooked, issuer_and
from tests.functions.policy import person
from tests.functions.world import Answer, World, world
from tests.gated import OVERRUN, SCAN

LEAD2 = person("lead2", "leads")


@pytest.fixture(name="gates")
def a_world() -> Iterator[World]:
    """Return a world whose policy has every kind of gate."""
    with world(gated(LEAD2)) as made:
        yield made


def post(made: World, launch: Any, what: str, who: str, body: Any) -> Answer:
    """Post something about a launch."""
    return made.call("POST", f"/v1/launches/{launch['id']}/{what}", body, who=who)


def states(launch: Any) -> dict[str, str]:
    """Return the state of each gate."""
    return {gate["name"]: gate["state"] for gate in launch["gates"]}


def later(made: World, **span: float) -> None:
    """Let time pass, and happen what happens."""
    made.clock.go(**span)
    made.wake()
    made.settle()


# Hooks


def test_a_signed_in_system_passes_its_hook() -> None:
    """A system that hears of a gate by the bus alone decides it as the service that policy knows."""
    with world(hooked()) as made:
        launch = made.ask()
        assert states(launch) == {"scan": "OPEN", "lead": "WAITING"}
        assert post(made, launch, "notes", "scanner", {"gate": "scan", "text": "40 % done"}).code == 200
        passed = made.decide(launch, "scanner", "scan", "pass").json
        assert states(passed) == {"scan": "GO", "lead": "OPEN"}
        assert [note["text"] for note in passed["gates"][0]["notes"]] == ["40 % done"]
        made.decide(launch, "lead", "lead")
        made.settle()
        assert made.read(launch["id"])["state"] == "RUNNING"


def test_a_system_fails_its_hook() -> None:
    """`fail` rejects the launch before anybody is asked."""
    with world(hooked()) as made:
        launch = made.ask()
        assert made.decide(launch, "scanner", "scan", "fail").json["state"] == "REJECTED"
        made.settle()
        assert made.mails("lead") == []


def test_a_verdict_that_comes_as_people_take_over_is_none() -> None:
    """The clock gives the hook to people between reading and writing: the system's verdict fills no human seat."""
    with world(hooked("escalate")) as made:
        launch = made.ask()
        items, waits = made.gonogo.items, [True]
        save = items.save

        def meanwhile(before: Any, after: Any) -> None:
            if isinstance(before, Launch) and waits.pop() if waits else False:
                made.clock.go(minutes=10, seconds=1)
                made.wake()
            save(before, after)

        with mock.patch.object(items, "save", meanwhile):
            answer = made.decide(launch, "scanner", "scan", "pass")
        assert answer.code == 409
        found = made.read(launch["id"])
        assert (found["gates"][0]["kind"], found["gates"][0]["decisions"]) == ("human", [])


@pytest.mark.parametrize("who", ["dev", "lead", "finance", "ops"])
def test_people_decide_no_hook(who: str) -> None:
    """A person who may approve everything else does not stand in for a scanner."""
    with world(hooked()) as made:
        launch = made.ask()
        before = made.rows()
        assert made.decide(launch, who, "scan", "pass").code == 403
        assert post(made, launch, "notes", who, {"gate": "scan", "text": "fine"}).code == 403
        assert made.rows() == before


def test_systems_fill_no_human_seat() -> None:
    """A bot that policy lets approve counts for nothing where people are meant, unless the gate says so."""
    rules = (
        'permit (principal == Person::"http://gonogo.local#oracle", action == Action::"approve", resource);'
    )
    for services, code in (("false", 403), ("true", 200)):
        files = gated(ORACLE, rules=rules)
        files["gates.toml"] = files["gates.toml"].replace(
            'title = "Team lead"', f'title = "Team lead"\nservices = {services}'
        )
        with world(files) as made:
            assert made.decide(made.ask(), "oracle", "lead").code == code


def test_a_system_leaves_ten_notes_and_no_more() -> None:
    """Progress is for people to read; it is no log."""
    with world(hooked()) as made:
        launch = made.ask()
        codes = [
            post(made, launch, "notes", "scanner", {"gate": "scan", "text": f"{n}"}).code for n in range(11)
        ]
        assert codes == [200] * 10 + [409]
        again = post(made, launch, "notes", "scanner", {"gate": "scan", "text": "9"})
        assert again.code == 200, "the same note once more changes nothing"
        assert len(again.json["gates"][0]["notes"]) == 10


@pytest.mark.parametrize(
    ("on_expiry", "state", "gates"),
    [
        ("", "REJECTED", {"scan": "NO_GO", "lead": "CANCELLED"}),
        ("reject", "REJECTED", {"scan": "NO_GO", "lead": "CANCELLED"}),
        ("approve", "PENDING_APPROVAL", {"scan": "GO", "lead": "OPEN"}),
        ("escalate", "PENDING_APPROVAL", {"scan": "OPEN", "lead": "WAITING"}),
    ],
)
def test_a_hook_that_nobody_answers(on_expiry: str, state: str, gates: dict[str, str]) -> None:
    """A dead system holds a launch up no longer than policy says, and then what policy says happens."""
    with world(hooked(on_expiry)) as made:
        launch = made.ask()
        later(made, minutes=11)
        found = made.read(launch["id"])
        assert (found["state"], states(found)) == (state, gates)
        if on_expiry == "escalate":
            assert found["gates"][0]["kind"] == "human"
            assert made.decide(launch, "scanner", "scan", "pass").code == 403
            assert states(made.decide(launch, "lead", "scan").json) == {"scan": "GO", "lead": "OPEN"}


def test_a_hook_after_the_launch_may_end_it() -> None:
    """What a system finds in what runs can warn, or want it terminated, as policy says; and no more."""
    for more, wanted in (("", None), ('on_reject = "terminate"', "terminate")):
        with world(hooked(place="after_launch", more=more)) as made:
            launch = made.ask()
            made.decide(launch, "lead", "lead")
            made.settle()
            running = made.read(launch["id"])
            assert (running["state"], states(running)["scan"]) == ("RUNNING", "OPEN")
            failed = made.decide(launch, "scanner", "scan", "fail").json
            assert (failed["state"], failed["wanted"]) == ("RUNNING", wanted)
            made.settle()
            assert made.read(launch["id"])["state"] == ("TERMINATED" if wanted else "RUNNING")


# Clocks


def timer(rule: str) -> dict[str, str]:
    """Return the policy with a timer before the launch."""
    gate = '@gate("calm") permit (principal in Group::"developers", action == Action::"request", resource);'
    return gated(gates=f'\n[calm]\ntitle = "Calm"\nkind = "timer"\n{rule}\n', rules=gate)


def test_a_launch_waits_for_its_window() -> None:
    """After everybody has said go it waits for the change window, which holidays and weekends are not in."""
    rule = (
        'window = { time_zone = "Europe/Vienna", from = "08:00", to = "10:00",'
        ' days = ["mon", "tue"], holidays = ["2026-11-24"] }'
    )
    with world(timer(rule)) as made:
        made.clock.go(hours=1)  # Monday, 11:00 in Vienna
        launch = made.ask()
        waits = made.decide(launch, "lead", "lead").json
        assert states(waits) == {"calm": "OPEN", "lead": "GO"}
        assert waits["gates"][-1]["goes_at"] == "2026-11-30T07:00:00Z"
        later(made, days=6, hours=20)
        assert made.read(launch["id"])["state"] == "PENDING_APPROVAL"
        later(made, hours=1, minutes=1)
        assert made.read(launch["id"])["state"] == "RUNNING"


def test_nobody_decides_a_timer() -> None:
    """The clock cannot be talked into it."""
    with world(timer('wait = "30m"')) as made:
        launch = made.ask()
        made.decide(launch, "lead", "lead")
        for who in ("lead", "finance", "ops"):
            assert made.decide(launch, who, "calm").code == 403
        later(made, minutes=31)
        assert made.read(launch["id"])["state"] == "RUNNING"


def test_a_request_is_launched_in_time_or_not_at_all(gates: World) -> None:
    """Who needs it by a time does not want it after."""
    late = gates.call("POST", "/v1/launches", {**ASK, "launch_by": "2026-11-23T08:00:00Z"}, who="dev")
    assert (late.code, late.json["errors"][0]["pointer"]) == (400, "/launch_by")
    launch = gates.ask(launch_by="2026-11-23T12:00:00Z")
    assert launch["launch_by"] == "2026-11-23T12:00:00Z"
    later(gates, hours=3, minutes=1)
    assert gates.read(launch["id"])["state"] == "EXPIRED"


ASK = {"template": "web-small", "reason": "a page for the fair", "cost_center": "marketing"}


# Amend and offers


def test_an_amended_launch_is_approved_anew(gates: World) -> None:
    """A decision, and a link, are for what was shown; whoever changed it decides nothing of it."""
    launch = gates.ask()
    gates.settle()
    code = gates.token("lead")
    amended = post(gates, launch, "amend", "dev", {"parameters": {"count": 2}}).json
    assert {one["path"]: (one["before"], one["after"]) for one in amended["changes"]}["price.monthly"] == (
        "7.60",
        "15.19",
    )
    assert amended["digest"] != launch["digest"]
    old = gates.call("POST", "/v1/decisions", {"token": code, "verdict": "approve"})
    assert (old.code, old.json["type"]) == (409, "urn:gonogo:problem:stale-digest")
    assert gates.decide(launch, "lead", "lead").code == 409
    assert gates.decide(amended, "lead", "lead").json["state"] == "PENDING"
    gates.settle()
    assert len(gates.instances("running")) == 2


def test_nobody_amends_what_they_were_not_shown(gates: World) -> None:
    """Of two who may amend, the second must not overwrite what they never saw."""
    launch = gates.ask()
    first = post(gates, launch, "amend", "dev", {"lease": "7d", "digest": launch["digest"]})
    second = post(gates, launch, "amend", "dev", {"lease": "8d", "digest": launch["digest"]})
    assert (first.code, second.code) == (200, 409)
    assert gates.read(launch["id"])["lease"] == "7d"


def test_an_old_link_stays_dead_when_the_old_plan_comes_back(gates: World) -> None:
    """Amending there and back gives the same digest, and still no link of the first round counts."""
    launch = gates.ask()
    gates.settle()
    code = gates.token("lead")
    post(gates, launch, "amend", "dev", {"parameters": {"count": 2}})
    back = post(gates, launch, "amend", "dev", {"parameters": {"count": 1}}).json
    assert back["digest"] == launch["digest"]
    assert gates.call("POST", "/v1/decisions", {"token": code, "verdict": "approve"}).code == 409
    assert gates.read(launch["id"])["state"] == "PENDING_APPROVAL"


@pytest.mark.parametrize("who", ["lead", "lead2", "finance", "ops"])
def test_only_who_asked_amends_and_accepts(gates: World, who: str) -> None:
    """An approver who could change what is asked would approve their own."""
    launch = gates.ask()
    offered = post(
        gates, launch, "offers", "lead2", {"gate": "lead", "digest": launch["digest"], "lease": "7d"}
    ).json
    before = gates.rows()
    assert post(gates, launch, "amend", who, {"lease": "1d"}).code == 403
    assert post(gates, launch, "accept", who, {"digest": offered["offers"][0]["digest"]}).code == 403
    assert gates.rows() == before


def test_an_offer_is_accepted_in_one_step(gates: World) -> None:
    """Who offered less has said go to just that, and to nothing else."""
    launch = gates.ask(parameters={"count": 3})
    less = {"parameters": {"count": 1}, "lease": "7d", "comment": "one will do"}
    body = {"gate": "lead", "digest": launch["digest"], **less}
    offered = post(gates, launch, "offers", "lead", body).json
    assert offered["digest"] == launch["digest"], "an offer changes nothing"
    (offer,) = offered["offers"]
    assert (offer["lease"], offer["comment"]) == ("7d", "one will do")
    assert Decimal(offer["price"]["hourly"]) * 3 == Decimal(launch["price"]["hourly"])
    taken = post(gates, launch, "accept", "dev", {"digest": offer["digest"]}).json
    assert (taken["state"], taken["digest"]) == ("PENDING", offer["digest"])
    assert (taken["lease"], taken["price"]) == (offer["lease"], offer["price"])
    assert [(one["actor"]["subject"], one["channel"]) for one in taken["gates"][0]["decisions"]] == [
        ("lead", "offer")
    ]
    gates.settle()
    assert len(gates.instances("running")) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"parameters": {"count": 4}}, "/parameters"),
        ({"lease": "60d"}, "/parameters"),
        ({}, "/parameters"),
        ({"parameters": {"size": 1}}, "/parameters/size"),
    ],
)
def test_an_offer_is_less(gates: World, body: Any, pointer: str) -> None:
    """What costs more, lasts longer, is the same, or is none of the template's is no offer."""
    launch = gates.ask(parameters={"count": 2})
    answer = post(gates, launch, "offers", "lead", {"gate": "lead", "digest": launch["digest"], **body})
    assert (answer.code, answer.json["errors"][0]["pointer"]) == (400, pointer)


def test_who_may_not_approve_makes_no_offer(gates: World) -> None:
    """An offer is an approval of less, so it takes the same right."""
    launch = gates.ask()
    for who in ("dev", "finance", "ops"):
        body = {"gate": "lead", "digest": launch["digest"], "lease": "7d"}
        assert post(gates, launch, "offers", who, body).code == 403


# Delegation


def test_somebody_decides_in_anothers_place(gates: World) -> None:
    """Who is away says who stands in; the history says both, and it is one seat."""
    body = {"to": issuer_and("finance"), "until": "2026-12-01T00:00:00Z"}
    assert gates.call("PUT", "/v1/delegation", body, who="lead").code == 200
    launch = gates.ask()
    decided = gates.decide(launch, "finance", "lead").json
    (decision,) = decided["gates"][0]["decisions"]
    assert (decision["actor"]["subject"], decision["instead_of"]["subject"]) == ("finance", "lead")
    assert gates.decide(launch, "lead", "lead", "reject").code == 409


def test_a_delegation_ends(gates: World) -> None:
    """After its time, and after it is withdrawn, it gives no right."""
    body = {"to": issuer_and("finance"), "until": "2026-11-23T10:00:00Z"}
    gates.call("PUT", "/v1/delegation", body, who="lead")
    assert gates.call("DELETE", "/v1/delegation", who="lead").json["in_force"] is False
    assert gates.decide(gates.ask(), "finance", "lead").code == 403
    gates.call("PUT", "/v1/delegation", body, who="lead")
    gates.clock.go(hours=1)
    assert gates.decide(gates.ask(), "finance", "lead").code == 403


def test_a_delegation_that_begins_later_is_told_of_when_it_begins(gates: World) -> None:
    """Whoever stands in from Monday on is asked on Monday of what waits by then, and not before."""
    launch = gates.ask()
    body = {
        "to": issuer_and("finance"),
        "since": "2026-11-24T09:00:00Z",
        "until": "2026-12-01T00:00:00Z",
    }
    assert gates.call("PUT", "/v1/delegation", body, who="lead").json["in_force"] is False
    gates.settle()
    assert [str(one["Subject"]).startswith("GO or NO-GO") for one in gates.mails("finance")] == [False]
    later(gates, days=1)
    subjects = [str(one["Subject"]) for one in gates.mails("finance")]
    assert [one.startswith("GO or NO-GO") for one in subjects] == [False, True]
    code = gates.token("finance")
    answer = gates.call("POST", "/v1/decisions", {"token": code, "verdict": "approve"})
    assert (answer.code, answer.json["id"]) == (200, launch["id"])


def test_a_delegate_who_asked_decides_nothing(gates: World) -> None:
    """Whatever is delegated to whoever asked, they never decide their own."""
    body = {"to": issuer_and("dev"), "until": "2026-12-01T00:00:00Z"}
    gates.call("PUT", "/v1/delegation", body, who="lead")
    assert gates.decide(gates.ask(), "dev", "lead").json["type"] == "urn:gonogo:problem:self-approval"


def stand_in(made: World, to: str, who: str = "lead", of: str = "") -> None:
    """Let somebody decide in the place of another."""
    body = {"to": issuer_and(to), "until": "2026-12-01T00:00:00Z"}
    assert made.call("PUT", f"/v1/delegation{of}", body, who=who).code == 200


def test_what_is_forbidden_is_forbidden_to_a_stand_in() -> None:
    """Deny wins, in whosever place somebody decides."""
    rule = 'forbid (principal in Group::"finance", action == Action::"approve", resource == Gate::"lead");'
    with world(gated(LEAD2, rules=rule)) as made:
        stand_in(made, "finance")
        assert made.decide(made.ask(), "finance", "lead").code == 403


def test_an_owner_by_the_policy_in_force_stands_in_for_nobody() -> None:
    """Who answers for a service does not approve what it asked for, since whenever they answer for it."""

    def files(owner: str) -> dict[str, str]:
        bot = person("bot", "developers", mail=False, service=True)
        return gated(LEAD2, f'{bot}owner = "http://gonogo.local#{owner}"\n')

    with world(files("ops")) as made:
        launch = made.ask("bot")
        made.publish(files("finance"))
        stand_in(made, "finance")
        assert made.decide(launch, "finance", "lead").code == 403


def test_who_asked_names_nobody_to_decide_it(gates: World) -> None:
    """An operator who asks, and may delegate for others, must not choose who approves."""
    body = {"files": {**gated(LEAD2), "tests.toml": "# other\n"}, "reason": "x"}
    asked = gates.call("PUT", "/v1/policy", body, who="ops").json
    stand_in(gates, "finance", "ops", "?of=http://gonogo.local%23lead")
    assert gates.decide(asked, "finance", "policy").code == 403


def test_few_delegate_for_others(gates: World) -> None:
    """Whoever could say who decides in somebody's place would decide it."""
    body = {"to": issuer_and("dev"), "until": "2026-12-01T00:00:00Z"}
    of = "/v1/delegation?of=http://gonogo.local%23lead"
    for who, code in (("dev", 403), ("finance", 403), ("lead2", 403), ("ops", 200)):
        assert gates.call("PUT", of, body, who=who).code == code
    for who in ("dev", "finance", "lead2"):
        assert gates.call("DELETE", of, who=who).code == 403
    assert gates.call("GET", of, who="dev").json["in_force"]
    ended = gates.call("DELETE", of, who="ops").json
    assert (ended["actor"]["subject"], ended["in_force"]) == ("lead", False)


# Break-glass


def test_a_broken_glass_is_reviewed_before_the_next(gates: World) -> None:
    """It launches at once, somebody else reviews it, and until then it is not broken again."""
    first = gates.ask(break_glass=True)
    assert first["state"] == "PENDING"
    gates.settle()
    assert (gates.read(first["id"])["state"], states(gates.read(first["id"]))) == (
        "RUNNING",
        {"review": "OPEN"},
    )
    again = gates.call("POST", "/v1/launches", {**ASK, "break_glass": True}, who="dev")
    assert (again.code, again.json["type"]) == (403, "urn:gonogo:problem:unreviewed")
    assert gates.decide(first, "dev", "review").code == 403
    assert gates.decide(first, "lead", "review", "reject").json["state"] == "RUNNING"
    assert gates.call("POST", "/v1/launches", {**ASK, "break_glass": True}, who="dev").code == 201


def test_two_glasses_at_once_are_one(gates: World) -> None:
    """Two requests before either is launched: the launcher lets one through."""
    both = [gates.ask(break_glass=True) for _ in range(2)]
    gates.settle()
    found = [gates.read(one["id"]) for one in both]
    assert sorted(one["state"] for one in found) == ["FAILED", "RUNNING"]
    (failed,) = [one for one in found if one["state"] == "FAILED"]
    assert failed["failure"]["code"] == "Unreviewed"
    post(gates, failed, "retry", "dev", {})
    gates.settle()
    assert gates.read(failed["id"])["state"] == "FAILED", "a retry is no way around the review"


def test_a_review_that_nobody_gives_opens_again(gates: World) -> None:
    """It does not lapse: it is asked for until it is given, even when the launch is gone."""
    launch = gates.ask(break_glass=True)
    gates.settle()
    post(gates, launch, "terminate", "dev", {})
    gates.settle()
    later(gates, days=3, minutes=1)
    found = gates.read(launch["id"])
    assert (found["state"], found["gates"][0]["state"], found["gates"][0]["round"]) == (
        "TERMINATED",
        "OPEN",
        2,
    )
    assert gates.decide(launch, "lead", "review").json["gates"][0]["state"] == "GO"


def test_a_review_is_given_by_whom_policy_names_now(gates: World) -> None:
    """Everybody who could review it has left: whoever came after them does, or nobody ever could."""
    launch = gates.ask(break_glass=True)
    gates.settle()
    files = gated(person("lead3", "leads"))
    files["people.toml"] = files["people.toml"].replace(
        'groups = ["leads"]\nmail = "lead@', 'groups = []\nmail = "lead@'
    )
    gates.publish(files)
    assert gates.decide(launch, "lead", "review").code == 403
    assert gates.decide(launch, "lead3", "review").json["gates"][0]["state"] == "GO"


def test_few_break_the_glass(gates: World) -> None:
    """Nobody does but whom policy lets, by that action's own permit, for just that template."""
    for who, template in (("lead", "web-small"), ("ops", "web-small"), ("dev", "gpu-large")):
        body = {**ASK, "template": template, "break_glass": True}
        assert gates.call("POST", "/v1/launches", body, who=who).code == 403


# Budgets

TEN = '[training]\nmonthly = "10.00"\n'


def test_an_overrun_is_judged_by_policy() -> None:
    """The budget is in the question: what fits needs the lead, what overruns it finance too."""
    with world(gated(rules=OVERRUN, budgets=TEN)) as made:
        dry = made.call(
            "POST",
            "/v1/launches?dry_run=true",
            {**ASK, "cost_center": "training", "lease": "5d"},
            who="dev",
        ).json
        assert (dry["budget"]["limit"], dry["budget"]["committed"], dry["budget"]["overrun"]) == (
            "10.00",
            "0",
            False,
        )
        assert list(states(made.ask(cost_center="training", lease="5d"))) == ["lead"]
        dear = made.ask(cost_center="training", lease="30d", parameters={"count": 4})
        assert list(states(dear)) == ["lead", "finance"]


def test_what_others_used_up_asks_for_the_gate_at_the_launch() -> None:
    """Both fit when they were asked for; the second does not any more when it is launched."""
    with world(gated(rules=OVERRUN, budgets=TEN)) as made:
        both = [made.ask(cost_center="training", lease="7d", parameters={"count": 4}) for _ in range(2)]
        assert [list(states(one)) for one in both] == [["lead"], ["lead"]]
        for one in both:
            made.decide(one, "lead", "lead")
            made.settle()
        first, second = (made.read(one["id"]) for one in both)
        assert first["state"] == "RUNNING"
        assert (second["state"], states(second)) == ("PENDING_APPROVAL", {"lead": "GO", "finance": "OPEN"})
        post(made, first, "terminate", "dev", {})
        made.settle()
        made.decide(second, "finance", "finance")
        made.settle()
        assert made.read(second["id"])["state"] == "RUNNING"


# Policy


def changed(files: dict[str, str]) -> dict[str, str]:
    """Return the policy with a weaker gate: nobody is asked any more."""
    rule = '@gate("lead")\npermit (principal in Group::"developers", action == Action::"request", resource);'
    direct = 'permit (principal in Group::"developers", action == Action::"launch", resource);'
    return {**files, "policies.cedar": files["policies.cedar"].replace(rule, rule + "\n" + direct)}


def test_a_change_of_policy_waits_for_its_gate(gates: World) -> None:
    """It is a launch like any other; what waits already keeps the rule that it was asked under."""
    waiting = gates.ask()
    body = {"files": changed(gated(LEAD2)), "reason": "less asking"}
    assert gates.call("PUT", "/v1/policy", body, who="dev").code == 403
    asked = gates.call("PUT", "/v1/policy", body, who="ops")
    assert (asked.code, asked.headers["location"]) == (202, f"launches/{asked.json['id']}")
    diff = gates.call("GET", f"/v1/launches/{asked.json['id']}/diff", who="lead").json["files"]
    assert list(diff) == ["policies.cedar"]
    assert '+permit (principal in Group::"developers", action == Action::"launch"' in diff["policies.cedar"]
    assert gates.decide(asked.json, "ops", "policy").code == 403
    gates.decide(asked.json, "lead", "policy")
    gates.settle()
    assert gates.read(asked.json["id"])["state"] == "TERMINATED"
    assert gates.call("GET", "/v1/policy", who="dev").json["bundle"] == asked.json["plan"]["spec"]["bundle"]
    assert gates.ask()["state"] == "PENDING", "the new rule holds for what comes"
    gates.settle()
    assert gates.read(waiting["id"])["state"] == "PENDING_APPROVAL", "and not for what waits"


def test_a_change_of_policy_is_asked_for_once(gates: World) -> None:
    """Who lost the answer asks again under the same key, and two approvals are not wanted; its files may be large."""
    key = {"idempotency-key": "less-asking"}
    large = {"docs/why.txt": "x" * 300_000}
    body = {"files": {**changed(gated(LEAD2)), **large}, "reason": "less asking"}
    first, second = (gates.call("PUT", "/v1/policy", body, who="ops", headers=key) for _ in range(2))
    assert (first.code, second.code, second.json["id"]) == (202, 202, first.json["id"])
    other = gates.call("PUT", "/v1/policy", {**body, "reason": "why not"}, who="ops", headers=key)
    assert other.code == 422


def test_a_policy_that_breaks_rules_is_not_asked_for(gates: World) -> None:
    """Nobody is shown what could never come into force; each fault says where."""
    files = {**gated(LEAD2), "gates.toml": "[lead]\ntitle = 1\n"}
    before = gates.rows()
    answer = gates.call("PUT", "/v1/policy", {"files": files, "reason": "x"}, who="ops")
    assert answer.code == 400
    assert answer.json["errors"][0]["pointer"].startswith("gates.toml")
    for path in ("../x", "./x", "x/.", "x/..", "x/./y", "/etc/passwd", "a//b", "", "x\n"):
        odd = gates.call("PUT", "/v1/policy", {"files": {path: ""}, "reason": "x"}, who="ops")
        assert odd.code == 400
    same = gates.call("PUT", "/v1/policy", {"files": gated(LEAD2), "reason": "x"}, who="ops")
    assert same.json["errors"][0]["rule"] == "unchanged"
    assert gates.rows() == before


def test_a_policy_that_was_overtaken_fails(gates: World) -> None:
    """What would be put in force is not the difference that was approved."""
    asked = [
        gates.call(
            "PUT",
            "/v1/policy",
            {"files": {**gated(LEAD2), "tests.toml": f"# {n}\n"}, "reason": "x"},
            who="ops",
        ).json
        for n in range(2)
    ]
    for one in asked:
        gates.decide(one, "lead", "policy")
        gates.settle()
    found = [gates.read(one["id"]) for one in asked]
    assert [one["state"] for one in found] == ["TERMINATED", "FAILED"]
    assert found[1]["failure"]["code"] == "PolicyMoved"


def test_lines_that_only_look_like_one_are_refused(gates: World) -> None:
    """What ends a line for Cedar or TOML and not for whoever reads the difference would hide a rule in it."""
    for end in ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"):
        files = gated(LEAD2)
        files["policies.cedar"] += (
            f'// nobody{end}permit (principal, action == Action::"delegate", resource);\n'
        )
        answer = gates.call("PUT", "/v1/policy", {"files": files, "reason": "x"}, who="ops")
        assert (answer.code, answer.json["errors"][0]["rule"]) == (400, "unseen"), repr(end)


def test_a_policy_that_was_put_back_stays_back(gates: World) -> None:
    """The launcher dies after it changed the policy, that is undone, and its cue comes again: it is done already."""
    old = gated(LEAD2)
    asked = gates.call(
        "PUT", "/v1/policy", {"files": {**old, "tests.toml": "# other\n"}, "reason": "x"}, who="ops"
    ).json
    gates.decide(asked, "lead", "policy")
    with mock.patch.object(launcher, "_record", side_effect=RuntimeError("the process ends")):
        gates.settle()
    assert gates.gonogo.policies.current().digest == asked["plan"]["spec"]["bundle"]
    gates.publish(old)
    later(gates, minutes=20)
    assert gates.read(asked["id"])["state"] == "TERMINATED"
    assert gates.gonogo.policies.current().digest == asked["plan"]["spec"]["previous"]


# Why


def test_nobody_is_left_asking_why(gates: World) -> None:
    """Each person hears what it waits for, who can, and why not they."""
    launch = gates.ask()

    def asked(who: str) -> Any:
        return gates.call("GET", f"/v1/launches/{launch['id']}/why", who=who).json

    assert asked("dev")["you"] == [{"gate": "lead", "can": False, "why_not": "You asked for this launch."}]
    assert asked("lead")["you"] == [{"gate": "lead", "can": True, "why_not": None}]
    assert asked("finance")["you"][0]["why_not"] == "No policy permits you to 'approve' this."
    (gate,) = asked("ops")["gates"]
    assert [one["subject"] for one in gate["can"]] == ["lead", "lead2"]
    assert (gate["missing"], gate["waits_for"]) == (1, "1 more person to say go, of 2 who can.")
    gates.decide(launch, "lead", "lead", "reject")
    assert "decided it already" in asked("lead")["you"][0]["why_not"]


# Events

OF_GATES = {
    "launch.amended",
    "launch.offered",
    "gate.noted",
    "gate.escalated",
    "approver.reminded",
    "approver.delegated",
    "glass.broken",
    "budget.reserved",
    "budget.released",
}


def test_every_new_event_is_what_its_schema_says() -> None:
    """A subscriber's rules are written against the schemas, for what happens to gates and budgets too."""
    gates = '\n[scan]\ntitle = "Scanner"\nkind = "hook"\nexpires_after = "10m"\n'
    gates += 'on_expiry = "escalate"\nescalate_to = "lead"\n'
    files = gated(SCANNER, LEAD2, gates=gates, rules=SCAN + OVERRUN, budgets='[training]\nmonthly = "100"\n')
    files["gates.toml"] = files["gates.toml"].replace(
        'title = "Team lead"', 'title = "Team lead"\nremind_every = "1h"'
    )
    with world(files) as made:
        launch = made.ask(cost_center="training")
        post(made, launch, "notes", "scanner", {"gate": "scan", "text": "looking"})
        launch = post(made, launch, "amend", "dev", {"parameters": {"count": 2}}).json
        later(made, minutes=11)
        later(made, hours=2)
        made.decide(launch, "lead", "scan")
        offer = {"gate": "lead", "digest": launch["digest"], "lease": "7d"}
        post(made, launch, "offers", "lead2", offer)
        body = {"to": issuer_and("finance"), "until": "2026-12-01T00:00:00Z"}
        made.call("PUT", "/v1/delegation", body, who="lead")
        made.decide(launch, "finance", "lead")
        made.settle()
        post(made, launch, "terminate", "dev", {})
        made.ask(break_glass=True)
        made.settle()
        heard = made.events()
    assert not OF_GATES - {one["type"] for one in heard}
    for one in heard:
        jsonschema_rs.validator_for(event.schema(event.ALL[one["type"]])).validate(one["data"])
