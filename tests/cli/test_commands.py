"""The commands against the real API: what a person types, sees, and what comes of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gonogo.client import Client, ProblemError
from tests.cli.shell import NASTY, URL, Answers, Shell, nasty, problem
from tests.functions.world import World

WHY = ("--reason", "a page for the fair", "--cost-center", "marketing")


def submitted(shell: Shell, *more: str, template: str = "web-small") -> Any:
    """Ask for a launch and return it."""
    return shell.json("submit", template, *WHY, *more)


def test_a_launch_from_submit_to_terminate(world: World, shell: Shell):
    """This is what the command is for."""
    asked = shell("submit", "web-small", "-p", "count=2", *WHY, "--name", "fair", "--lease", "8h")
    assert asked.exit_code == 0, asked.output
    assert "PENDING_APPROVAL" in asked.stdout
    assert "may decide: http://gonogo.local#lead" in asked.stdout
    launch_id = asked.stdout.split()[0]
    world.settle()

    assert launch_id in shell("inbox", who="lead").stdout
    decided = shell("decide", launch_id, "--gate", "lead", "--approve", who="lead", typed="GO\n")
    assert decided.exit_code == 0, decided.output
    world.settle()
    shown = shell("show", launch_id).stdout
    assert "RUNNING" in shown
    assert "GO by http://gonogo.local#lead" in shown
    assert len(world.instances("running")) == 2

    for command, state in (("stop", "STOPPED"), ("start", "RUNNING"), ("terminate", "TERMINATED")):
        assert shell(command, launch_id).exit_code == 0
        world.settle()
        assert shell.json("show", launch_id)["state"] == state
    told = shell("events", launch_id).stdout
    assert told.index("launch.requested") < told.index("launch.started") < told.index("launch.terminated")


def test_what_is_shown_is_what_is_asked_and_what_is_sent(world: World, shell: Shell):
    """An approver decides on plan, cost and reason, and on no other launch than that."""
    launch = submitted(shell, "-p", "count=2")
    asked = shell("decide", launch["id"], "--gate", "lead", who="lead", typed="GO\n")
    before = asked.stdout.split("type GO or NO-GO")[0]
    for part in (
        launch["digest"],
        "2 x t3.micro",
        "15.19 a month",
        "a page for the fair",
        "marketing",
        "image_id",
    ):
        assert part in before
    (decision,) = shell.json("show", launch["id"])["gates"][0]["decisions"]
    assert (decision["verdict"], decision["channel"]) == ("approve", "api")
    assert world.read(launch["id"])["state"] == "PENDING"


@pytest.mark.parametrize(
    ("flags", "typed"),
    [
        ((), "yes\n"),
        ((), "\n"),
        ((), ""),
        (("--approve",), "NO-GO\n"),
        (("--reject",), "GO\n"),
        ((), "REVOKE\n"),
    ],
)
def test_nothing_is_decided_unless_the_word_is_typed(world: World, shell: Shell, flags, typed):
    """A return key pressed too soon must not launch anything."""
    launch = submitted(shell)
    result = shell("decide", launch["id"], "--gate", "lead", *flags, who="lead", typed=typed)
    assert result.exit_code == 1
    assert world.read(launch["id"])["version"] == launch["version"]


def test_one_no_rejects_and_says_why(world: World, shell: Shell):
    """Who asked reads the comment."""
    launch = submitted(shell)
    result = shell("decide", launch["id"], "--reject", "--comment", "too dear", who="lead", typed="no-go\n")
    assert result.exit_code == 0, result.output
    shown = shell("show", launch["id"]).stdout
    assert "REJECTED" in shown
    assert "NO-GO by http://gonogo.local#lead" in shown
    assert "too dear" in shown
    assert world.read(launch["id"])["state"] == "REJECTED"


def test_a_decision_can_be_taken_back_while_others_are_missing(shell: Shell):
    """A mistake seen at once is no incident."""
    launch = submitted(shell, template="gpu-large")
    assert shell("decide", launch["id"], "--gate", "lead", "--approve", "--yes", who="lead").exit_code == 0
    assert shell("decide", launch["id"], "--gate", "lead", "--revoke", "--yes", who="lead").exit_code == 0
    gates = shell.json("show", launch["id"])["gates"]
    assert gates[0]["state"] == "OPEN"
    assert gates[0]["decisions"][0]["void"] == "revoked"


def test_a_pipeline_decides_only_what_it_reviewed(world: World, shell: Shell):
    """`--yes` without a look needs a digest of an earlier look."""
    launch = submitted(shell)
    other = shell("decide", launch["id"], "--approve", "--yes", "--digest", "0" * 64, who="lead")
    assert other.exit_code == 1
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    same = shell(
        "decide", launch["id"], "--approve", "--yes", "--digest", launch["digest"], "--json", who="lead"
    )
    assert json.loads(same.stdout)["state"] == "PENDING"
    assert launch["digest"] in same.stderr


def test_deciding_ones_own_launch_is_refused(shell: Shell):
    """The rule is the API's; the command must say so and leave with 1."""
    launch = submitted(shell)
    result = shell("decide", launch["id"], "--approve", "--yes")
    assert result.exit_code == 1
    assert "somebody else must decide" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ("decide", "l-abc", "--approve", "--reject"),
        ("decide", "l-abc", "--yes"),
        ("submit", "web-small", *WHY, "--dry-run", "--wait"),
        ("submit", "web-small", *WHY, "--on-behalf-of", "somebody"),
        ("submit", "web-small", *WHY, "--wait", "--timeout", "soon"),
        ("submit", "web-small", *WHY, "-p", "count"),
        ("submit", "web-small", *WHY, "-p", "=2"),
        ("submit", "web-small", *WHY, "-p", "count:=two"),
        ("submit", "web-small", *WHY, "-p", "count:=1", "-p", "count:=2"),
        ("submit", "web-small"),
        ("submit", "web-small", *WHY, "--launch-by", "tomorrow"),
        ("submit", "web-small", *WHY, "--launch-by", "2026-12-01T08:00"),
        ("submit", "web-small", *WHY, "--launch-by", "0001-01-01T00:00+12:00"),
        ("amend", "l-abc"),
        ("amend", "l-abc", "--yes"),
        ("amend", "../inbox", "--lease", "7d"),
        ("amend", "l-abc", "-p", "count"),
        ("amend", "l-abc", "--launch-by", "2026-12-01"),
        ("offer", "l-abc", "--lease", "7d"),
        ("offer", "l-abc", "lead"),
        ("offer", "l-abc", "lead", "--comment", "less"),
        ("offer", "l-abc", "lead", "-p", "=1"),
        ("accept", "a/b"),
        ("accept", "l-abc", "d", "e"),
        ("why",),
        ("why", "../inbox"),
        ("note", "l-abc", "scan"),
        ("note", "l-abc", "scan", " "),
        ("note", "..", "scan", "40 %"),
        ("delegate", "finance", "--until", "2026-12-01T08:00Z"),
        ("delegate", "https://i#s"),
        ("delegate", "https://i#s", "--until", "friday"),
        ("delegate", "https://i#s", "--until", "2026-12-01"),
        ("delegate", "https://i#s", "--until", "2026-12-01T08:00Z", "--from", "now"),
        ("delegate", "https://i#s", "--until", "2026-12-01T08:00Z", "--of", "lead"),
        ("delegate", "--until", "2026-12-01T08:00Z"),
        ("delegate", "--from", "2026-12-01T08:00Z"),
        ("delegate", "https://i#s", "--end"),
        ("delegate", "--end", "--until", "2026-12-01T08:00Z"),
        ("policy", "propose", "policy"),
        ("policy", "propose", "no-such-folder", "--reason", "x"),
        ("list", "--state", "RUNNING", "--requester", "me"),
        ("list", "--state", "ASLEEP"),
        ("list", "--limit", "0"),
        ("show", "../inbox"),
        ("no-such-command",),
    ],
)
def test_what_cannot_be_meant_leaves_with_2(words):
    """A script must tell its own mistake from a refusal; and nothing is asked of anybody."""
    there = Answers({})
    assert Shell(there)(*words).exit_code == 2
    assert there.asked == []


def test_without_an_open_gate_to_guess_it_asks_which(shell: Shell):
    """Guessing between two gates would decide the wrong one."""
    launch = submitted(shell)
    assert shell("cancel", launch["id"]).exit_code == 0
    result = shell("decide", launch["id"], "--approve", "--yes", who="lead")
    assert result.exit_code == 2
    assert "the launch has lead" in " ".join(result.output.replace("│", " ").split())


def test_a_dry_run_stores_nothing(world: World, shell: Shell):
    """Asking what would happen is free."""
    before = world.rows()
    result = shell("submit", "gpu-large", *WHY, "--dry-run")
    assert result.exit_code == 0, result.output
    for part in ("would wait for these gates", "lead (Team lead)", "finance (Finance)", "16029.08 a month"):
        assert part in result.stdout
    assert shell.json("submit", "gpu-large", *WHY, "--dry-run")["outcome"] == "gates"
    assert "launched at once" in shell("submit", "gpu-large", *WHY, "--dry-run", who="ops").stdout
    assert world.rows() == before


def test_a_refusal_names_each_broken_rule_and_leaves_with_1(shell: Shell):
    """One round trip per mistake is one too many."""
    result = shell("submit", "web-small", "-p", "count=9", "-p", "size=big", *WHY)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "/parameters/count: 9 is greater than the maximum of 4" in result.stderr
    assert "/parameters/size" in result.stderr


def test_whom_policy_does_not_know_is_told_so(shell: Shell):
    """The reason is worth more than a number."""
    result = shell("list", who="stranger")
    assert result.exit_code == 1
    assert "Policy knows nobody" in result.stderr


def test_lists_fit_in_80_columns_and_show_what_is_whose(world: World, shell: Shell):
    """Most terminals of on-call people are no wider."""
    mine = submitted(shell, "--name", "the page for the autumn fair in the northern hall, second floor")
    theirs = shell.json("submit", "gpu-large", *WHY, who="ops")
    world.settle()
    listed = shell("list").stdout
    assert mine["id"] in listed
    assert theirs["id"] not in listed
    assert theirs["id"] in shell("list", "--requester", "http://gonogo.local#ops").stdout
    waiting = shell("list", "--state", "PENDING_APPROVAL", who="lead").stdout
    assert mine["id"] in waiting
    assert "http://gonogo.local#dev" in waiting
    everything = [
        listed,
        waiting,
        shell("show", mine["id"]).stdout,
        shell("events", mine["id"]).stdout,
        shell("inbox", who="lead").stdout,
        shell("templates").stdout,
        shell("policy", "show").stdout,
    ]
    assert max(len(one) for text in everything for one in text.splitlines()) <= 80


def test_lists_go_on_page_by_page_and_say_if_there_is_more(shell: Shell):
    """A silently short list is a wrong list."""
    ids = {submitted(shell)["id"] for _ in range(3)}
    assert {one["id"] for one in shell.json("list")} == ids
    some = shell("list", "--limit", "2")
    assert sum(one in some.stdout for one in ids) == 2
    assert "There are more" in some.stderr
    assert "There is none" in shell("inbox").stderr


def test_pages_are_followed_until_the_limit():
    """The API gives a hundred at once; `--limit 150` means 150."""
    pages = [
        {"items": [{"id": str(n)} for n in range(100)], "cursor": "c"},
        {"items": [{"id": "100"}], "cursor": None},
    ]
    there = Answers({"GET /v1/launches": pages})
    assert len(Shell(there).json("list", "--limit", "150")) == 101
    assert [dict(request.url.params) for request in there.asked] == [
        {"limit": "100"},
        {"limit": "50", "cursor": "c"},
    ]


def test_an_approval_token_decides_without_signing_in(world: World, shell: Shell):
    """What a hook does with the token that it was sent."""
    launch = submitted(shell)
    world.settle()
    with Client(URL, None, transport=shell.transport) as gonogo:
        after = gonogo.decide_by_token(world.token("lead"), verdict="approve", comment="fine")
        assert (after["id"], after["state"]) == (launch["id"], "PENDING")
        with pytest.raises(ProblemError) as raised:
            gonogo.decide_by_token("gng_nonsense", verdict="approve")
    assert raised.value.type == "urn:gonogo:problem:token-invalid"


# -- waiting -------------------------------------------------------------------------------------


def test_wait_waits_until_it_runs_and_tells_each_state(world: World, shell: Shell):
    """A pipeline goes on when there is something to go on with."""
    shell.passing.meanwhile = world.settle
    result = shell("submit", "web-small", *WHY, "--wait", "--json", who="ops")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["state"] == "RUNNING"
    assert "RUNNING" in result.stderr


def test_wait_leaves_with_1_when_the_launch_ends_otherwise(shell: Shell):
    """A pipeline must not go on after a no."""
    launch = submitted(shell)
    shell.passing.meanwhile = lambda: shell("decide", launch["id"], "--reject", "--yes", who="lead")
    result = shell("wait", launch["id"])
    assert result.exit_code == 1
    assert "REJECTED" in result.stdout


def test_wait_leaves_with_3_when_it_takes_too_long(shell: Shell):
    """Too long is neither yes nor no, and the launch still waits."""
    result = shell("submit", "web-small", *WHY, "--wait", "--timeout", "1m")
    assert result.exit_code == 3
    assert 40 < sum(shell.passing.slept) <= 60
    assert max(shell.passing.slept) <= 15
    assert "gonogo wait l-" in result.stderr


def test_wait_outlasts_a_passing_outage():
    """An hour's wait should not fail for a second's outage."""
    price = {"monthly": "1", "currency": "USD"}
    launch: Any = {"id": "l-abc", "state": "RUNNING", "template": "t", "price": price}
    launch |= {"gates": [], "wanted": None, "failure": None}
    there = Answers({"GET /v1/launches/l-abc": [httpx.ConnectError("down")] * 5 + [launch]})
    assert Shell(there)("wait", "l-abc").exit_code == 0


# -- asking safely -------------------------------------------------------------------------------


def test_no_answer_tells_how_to_ask_again_without_asking_twice():
    """A person who presses the arrow key and return would otherwise pay twice."""
    there = Answers({"POST /v1/launches": httpx.ReadTimeout("")})
    result = Shell(there)("submit", "web-small", *WHY)
    assert result.exit_code == 1
    key = there.asked[0].headers["Idempotency-Key"]
    assert f"--idempotency-key {key}" in " ".join(result.stderr.split())
    assert "No answer" in result.stderr


def test_the_same_key_asks_for_the_same_launch(shell: Shell):
    """What a pipeline run needs: one key per run."""
    first = submitted(shell, "--idempotency-key", "run-17")
    assert submitted(shell, "--idempotency-key", "run-17")["id"] == first["id"]
    assert shell("submit", "gpu-large", *WHY, "--idempotency-key", "run-17").exit_code == 1


def test_parameters_are_read_as_the_template_types_them():
    """`version=1.10` is text where the template says text; 1.1 would be another version."""
    properties: dict[str, Any] = {
        "count": {"type": "integer"},
        "version": {"type": "string"},
        "either": {"type": ["string", "null"]},
        "any": {},
        "open": True,
    }
    template = {"name": "t", "parameters": {"properties": properties}}
    there = Answers({"GET /v1/templates": {"items": [template]}, "POST /v1/launches": problem(403, "no")})
    given = [
        "count=2",
        "version=1.10",
        "either=null",
        "any=true",
        "open=NaN",
        "other=1e999",
        "list:=[1]",
        "eq=a=b",
    ]
    Shell(there)("submit", "t", *WHY, *(word for one in given for word in ("-p", one)))
    assert json.loads(there.asked[-1].content)["parameters"] == {
        "count": 2,
        "version": "1.10",
        "either": "null",
        "any": True,
        "open": "NaN",
        "other": "1e999",
        "list": [1],
        "eq": "a=b",
    }


def test_somebody_elses_launch_is_asked_for_by_issuer_and_subject():
    """A name or a mail address is nobody."""
    there = Answers({"POST /v1/launches": problem(403, "no", "No.")})
    Shell(there)("submit", "t", *WHY, "--on-behalf-of", "https://issuer.example.com#42#a")
    assert json.loads(there.asked[0].content)["on_behalf_of"] == {
        "issuer": "https://issuer.example.com",
        "subject": "42#a",
    }


# -- what others wrote ---------------------------------------------------------------------------


def test_what_others_wrote_cannot_steer_the_terminal(world: World, shell: Shell):
    """An approver must see what is there; a reason that hides the price would be approved unread."""
    launch = submitted(shell, template="gpu-large")
    world.settle()
    shell("decide", launch["id"], "--approve", "--yes", "--comment", "fine", who="lead")
    world.settle()
    answers = {
        f"GET /v1/launches/{launch['id']}": shell.json("show", launch["id"]),
        f"GET /v1/launches/{launch['id']}/events": {"items": shell.json("events", launch["id"])},
        f"POST /v1/launches/{launch['id']}/decisions": shell.json("show", launch["id"]),
        f"POST /v1/launches/{launch['id']}/retry": problem(
            409, "x", "x", errors=[{"pointer": "x", "detail": "x"}]
        ),
        f"POST /v1/launches/{launch['id']}/stop": problem(409, "x", "x"),
        "GET /v1/launches": {"items": shell.json("list"), "cursor": None},
        "GET /v1/inbox": {"items": shell.json("inbox", who="finance"), "cursor": None},
        "GET /v1/templates": {"items": shell.json("templates")},
        "GET /v1/policy": shell.json("policy", "show"),
        "POST /v1/launches": shell.json("submit", "gpu-large", *WHY, "--dry-run"),
    }
    evil = {
        route: problem(409, "x" + NASTY, NASTY, errors=nasty(json.loads(answer.content).get("errors", [])))
        if isinstance(answer, httpx.Response)
        else nasty(answer)
        for route, answer in answers.items()
    }
    away = Shell(Answers(evil))
    for words in (
        ("show", launch["id"]),
        ("events", launch["id"]),
        ("decide", launch["id"], "--gate", "finance", "--approve", "--yes"),
        ("retry", launch["id"]),
        ("stop", launch["id"]),
        ("list",),
        ("list", "--state", "RUNNING"),
        ("inbox",),
        ("templates",),
        ("policy", "show"),
        ("submit", "gpu-large", *WHY, "--dry-run"),
    ):
        for more in ((), ("--json",)):
            result = away(*words, *more)
            assert result.exception is None or isinstance(result.exception, SystemExit), words
            assert not set("\x1b\x07\x9b\u202e\u200b\u2066") & set(result.output), words
            if not more:
                assert "\\x1b[2J" in "".join(result.output.split()), words
                assert "[red]x[/red]" in "".join(result.output.split()), words


def test_no_line_of_a_reason_can_pass_for_ours(shell: Shell):
    """Line breaks are allowed in a reason, so its lines stay where it stands."""
    reason = "a page\ncost         0.00 USD an hour\ndigest       " + "0" * 64
    launch = shell.json("submit", "web-small", "--reason", reason, "--cost-center", "marketing")
    lines = shell("show", launch["id"]).stdout.splitlines()
    assert [one.split()[1] for one in lines if one.startswith("  cost  ")] == ["0.0104"]
    assert [one.split()[1] for one in lines if one.startswith("  digest  ")] == [launch["digest"]]


def test_json_is_ascii_and_whole(shell: Shell):
    """Scripts get what the API said, a newer one's fields included, and nothing else on stdout."""
    launch = shell.json(
        "submit", "web-small", "--reason", "für die Messe \u202e", "--cost-center", "marketing"
    )
    printed = shell("show", launch["id"], "--json").stdout
    assert printed.isascii()
    assert json.loads(printed)["reason"] == "für die Messe \u202e"
    assert Shell(Answers({"GET /v1/launches/l-a": {"newer": 1}})).json("show", "l-a") == {"newer": 1}
