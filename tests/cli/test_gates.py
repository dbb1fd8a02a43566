"""The commands of systems, clocks, amendments, delegations and broken glasses, against the real API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.shell import Answers, Gateway, Shell, nasty, problem
from tests.functions.gated import SCANNER, gated, hooked
from tests.functions.policy import person
from tests.functions.world import World
from tests.functions.world import world as world_of
from tests.gated import OVERRUN, SCAN

WHY = ("--reason", "a page for the fair", "--cost-center", "training")
LEAD, FINANCE = "http://gonogo.local#lead", "http://gonogo.local#finance"
UNTIL = ("--until", "2026-12-01T00:00Z")
MORE = """
[scan]
title = "Scanner"
kind = "hook"
place = "before_approval"
expires_after = "10m"
on_expiry = "escalate"
escalate_to = "lead"

[calm]
title = "Calm"
kind = "timer"
wait = "30m"
"""
CALM = '@gate("calm") permit (principal in Group::"developers", action == Action::"request", resource);\n'


def files(*, whole: bool = False) -> dict[str, str]:
    """Return the policy, with a scanner before the people and a wait after them if it is to be whole."""
    lead2, budgets = person("lead2", "leads"), '[training]\nmonthly = "100"\n'
    if not whole:
        return gated(lead2, budgets=budgets)
    made = gated(SCANNER, lead2, gates=MORE, rules=SCAN + OVERRUN + CALM, budgets=budgets)
    more = 'title = "Team lead"\nremind_every = "1h"\nescalate_after = "2h"\nescalate_to = "finance"'
    made["gates.toml"] = made["gates.toml"].replace('title = "Team lead"', f'{more}\nvalid_for = "2d"')
    return made


@pytest.fixture(name="world")
def world_of_people() -> Iterator[World]:
    """Give a world whose launches wait for people."""
    with world_of(files()) as made:
        yield made


@pytest.fixture(name="whole")
def world_of_everything() -> Iterator[World]:
    """Give a world whose launches wait for a system, then for people, then for the clock."""
    with world_of(files(whole=True)) as made:
        yield made


def asked(shell: Shell, *more: str) -> Any:
    """Ask for a launch and return it."""
    return shell.json("submit", "web-small", *WHY, *more)


def offered(shell: Shell, launch: Any, *more: str, who: str = "lead") -> Any:
    """Offer less, and return the offer."""
    words = ("offer", launch["id"], "lead", *(more or ("--lease", "7d")), "--yes", "--json")
    result = shell(*words, who=who)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["offers"][-1]


def flat(text: str) -> str:
    """Return the text without its line breaks, to look for what may be folded."""
    return " ".join(text.split())


# -- kinds of gates ------------------------------------------------------------------------------


def test_every_kind_of_gate_reads_as_what_it_is(whole: World):
    """Whoever waits must see whether people, a system or a clock holds it up, and until when."""
    shell = Shell(Gateway(whole))
    launch = asked(shell)
    assert shell("note", launch["id"], "scan", "40 %\ndone", who="scanner").exit_code == 0
    shown = flat(shell("show", launch["id"]).stdout)
    for part in (
        "scan (Scanner), a system's, stage 1, before approval: OPEN, 0 of 1, until 2026-11-23 09:10 UTC",
        "09:10 UTC, then for people to decide",
        "note of http://gonogo.local#scanner, 2026-11-23 09:00 UTC 40 % done",
        "calm (Calm), the clock's, stage 1, before the launch: WAITING",
    ):
        assert part in shown
    whole.settle()
    waits = flat(shell("inbox", who="scanner").stdout)
    assert "until 2026-11-23 09:10 UTC, then for people to decide" in waits
    assert "40 % done" in waits

    passed = shell("decide", launch["id"], "--approve", "--yes", who="scanner")
    assert passed.exit_code == 0, passed.output
    told = flat(shell("show", launch["id"]).stdout)
    assert "reminds them at 2026-11-23 10:00 UTC" in told
    assert "is escalated at 2026-11-23 11:00 UTC" in told
    whole.clock.go(hours=2, minutes=1)
    whole.wake()
    whole.settle()
    assert "is escalated: more people may decide it" in flat(shell("show", launch["id"]).stdout)
    decided = flat(shell("decide", launch["id"], "--approve", "--yes", who="lead").stdout)
    assert "calm (Calm), the clock's, stage 1, before the launch: OPEN, until 2026-11-23 11:31 UTC" in decided
    assert "stands until 2026-11-25 11:01 UTC" in decided


def test_a_gate_that_opened_again_says_why(world: World):
    """Whoever decided in vain, or not at all, must see why they are asked once more."""
    shell = Shell(Gateway(world))
    launch = shell.json("submit", "web-small", *WHY, "--break-glass", "--yes")
    world.settle()
    world.clock.go(days=3, minutes=1)
    world.wake()
    assert "again, because it was not decided in time" in flat(shell("show", launch["id"]).stdout)


def test_a_gate_that_nobody_said_go_to_says_why_it_is_go():
    """A GO without a name under it would look like a hole."""
    with world_of(hooked("approve")) as made:
        shell = Shell(Gateway(made))
        launch = asked(shell)
        made.clock.go(minutes=11)
        made.wake()
        for command in ("show", "why"):
            assert "GO, because nobody answered in time" in flat(shell(command, launch["id"]).stdout)


def test_the_clock_is_no_gate_to_guess(whole: World):
    """A timer is open as well, and nobody can decide it: it must not make the one gate two."""
    shell = Shell(Gateway(whole))
    launch = asked(shell)
    shell("decide", launch["id"], "--approve", "--yes", who="scanner")
    shell("decide", launch["id"], "--approve", "--yes", who="lead")
    guessed = shell("decide", launch["id"], "--approve", "--yes", who="lead2")
    assert guessed.exit_code == 2
    assert "0 are open" in flat(guessed.output.replace("│", " "))


def test_a_refused_note_says_why(whole: World):
    """A person who notes, or a gate that is none, must not look like progress."""
    shell = Shell(Gateway(whole))
    launch = asked(shell)
    for who, gate in (("lead", "scan"), ("scanner", "lead"), ("scanner", "nothing")):
        result = shell("note", launch["id"], gate, "fine", who=who)
        assert (result.exit_code, result.stdout) == (1, "")
    assert whole.read(launch["id"])["version"] == launch["version"]


# -- why -----------------------------------------------------------------------------------------


def test_why_says_what_is_missing_and_why_not_you(whole: World):
    """Nobody should have to ask around what a launch waits for."""
    shell = Shell(Gateway(whole))
    launch = asked(shell, "--launch-by", "2026-11-30T08:00+01:00")
    mine = flat(shell("why", launch["id"]).stdout)
    for part in (
        "PENDING_APPROVAL launch by 2026-11-30 07:00 UTC",
        "1 more system to say go, of 1 who can. can: http://gonogo.local#scanner",
        "Opens when these are GO: Scanner. can: http://gonogo.local#lead, http://gonogo.local#lead2",
        "not you: You asked for this launch.",
        "budget training, 2026-12: 0 of 100 are committed",
    ):
        assert part in mine
    assert "The clock decides it" not in mine, "nobody asks why not they, of a clock"
    command = f"you can: gonogo decide {launch['id']} --gate scan"
    assert command in flat(shell("why", launch["id"], who="scanner").stdout)
    shell("decide", launch["id"], "--approve", "--yes", "--comment", "clean", who="scanner")
    shell("delegate", FINANCE, *UNTIL, who="lead")
    theirs = flat(shell("why", launch["id"], who="finance").stdout)
    for part in (
        "GO by http://gonogo.local#scanner, 2026-11-23 09:00 UTC clean",
        f"can: {FINANCE}, in the place of {LEAD}",
        "the clock acts next at 2026-11-23 10:00 UTC",
        f"you can: gonogo decide {launch['id']} --gate lead",
    ):
        assert part in theirs
    assert shell.json("why", launch["id"], who="ops")["gates"][1]["missing"] == 1


def test_why_of_what_waits_for_nobody(world: World):
    """A launch without gates, and one that is none, are answered too."""
    shell = Shell(Gateway(world))
    launch = shell.json("submit", "web-small", *WHY, who="ops")
    assert "It waits for nobody's go." in shell("why", launch["id"]).stdout
    assert shell("why", "l-" + "a" * 32).exit_code == 1


# -- amend, offer, accept ------------------------------------------------------------------------


def test_an_amendment_shows_its_price_before_it_is_asked_for(world: World):
    """Money moves, and decisions are lost: both are said first, and only a yes does it."""
    shell = Shell(Gateway(world))
    launch = asked(shell, "-p", "count=2")
    words = ("amend", launch["id"], "-p", "count=1", "--lease", "7d", "--reason", "one will do")
    looks = [shell(*words, typed=typed) for typed in ("n\n", "\n", "", "GO\n")]
    assert [one.exit_code for one in looks] == [1, 1, 1, 1]
    assert all("Nothing was changed" in one.stderr for one in looks)
    assert world.read(launch["id"])["version"] == launch["version"]
    shown = flat(looks[0].stdout)
    for part in ("parameters.count 2 -> 1", "lease 30d -> 7d", "cost now 0.0208", "would cost 0.0104"):
        assert part in shown

    done = shell(*words, typed="y\n")
    assert done.exit_code == 0, done.output
    assert "price.monthly 15.19 -> 7.60" in flat(done.stdout)
    assert "(price.monthly: 15.19 -> 7.60)" in flat(shell("events", launch["id"]).stdout)
    after = world.read(launch["id"])
    assert (after["reason"], after["lease"], after["plan"]["parameters"]) == (
        "one will do",
        "7d",
        {"count": 1},
    )
    shown = flat(shell("show", launch["id"], who="lead").stdout)
    assert "amended by http://gonogo.local#dev" in shown
    assert "reason a page for the fair -> one will do" in shown
    world.settle()
    assert "lease 30d -> 7d" in flat(shell("inbox", who="lead").stdout)


def test_a_pipeline_amends_without_a_look(world: World):
    """`--yes --json` asks nothing, and gives a parameter its default again by null."""
    shell = Shell(Gateway(world))
    launch = asked(shell, "-p", "count=2", "--name", "fair")
    words = (
        "amend",
        launch["id"],
        "-p",
        "count:=null",
        "--name",
        "autumn fair",
        "--cost-center",
        "marketing",
    )
    result = shell(*words, "--launch-by", "2026-11-30T08:00Z", "--yes", "--json")
    after = json.loads(result.stdout)
    assert after["plan"]["parameters"] == {"count": 1}
    assert (after["name"], after["cost_center"]) == ("autumn fair", "marketing")
    assert after["launch_by"] == "2026-11-30T08:00:00Z"
    assert "launch by 2026-11-30 08:00 UTC" in flat(shell("show", launch["id"]).stdout)


def test_an_amendment_that_is_refused_changes_nothing(world: World):
    """What breaks rules is named beforehand, and again by the refusal."""
    shell = Shell(Gateway(world))
    launch = asked(shell)
    result = shell("amend", launch["id"], "-p", "count=9", typed="y\n")
    assert result.exit_code == 1
    assert "not known beforehand" in result.stdout
    assert "/parameters/count: 9 is greater than the maximum of 4" in result.stderr
    assert shell("amend", launch["id"], "--lease", "7d", "--yes", who="lead").exit_code == 1
    assert world.read(launch["id"])["version"] == launch["version"]


def test_an_offer_is_shown_asked_for_and_accepted(world: World):
    """Less can be had in two commands, and each side says yes to just what it was shown."""
    shell = Shell(Gateway(world))
    launch = asked(shell, "-p", "count=3")
    words = ("offer", launch["id"], "lead", "-p", "count=1", "--lease", "7d", "--comment", "enough")
    assert shell(*words, who="lead", typed="n\n").exit_code == 1
    assert world.read(launch["id"])["offers"] == []
    made = shell(*words, who="lead", typed="y\n")
    assert made.exit_code == 0, made.output
    assert launch["digest"] in made.stdout, "the approver sees all of what is asked for"
    assert "parameters.count 3 -> 1 lease 30d -> 7d" in flat(made.stdout)
    (offer,) = world.read(launch["id"])["offers"]
    command = f"{LEAD} would say GO to less: gonogo accept {launch['id']} {offer['digest']}"
    assert command in flat(made.stdout)
    shown = flat(shell("show", launch["id"]).stdout)
    assert f"offer of {LEAD}, gate lead" in shown
    assert "enough" in shown

    refused = shell("accept", launch["id"], typed="n\n")
    assert refused.exit_code == 1
    for part in ("7.60 a month", "price.monthly 22.78 -> 7.60", offer["digest"]):
        assert part in flat(refused.stdout)
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    taken = shell("accept", launch["id"], typed="y\n")
    assert taken.exit_code == 0, taken.output
    assert world.read(launch["id"])["state"] == "PENDING"
    assert world.read(launch["id"])["digest"] == offer["digest"]


def test_of_two_offers_one_is_named(world: World):
    """Taking the wrong one would launch what was not meant."""
    shell = Shell(Gateway(world))
    launch = asked(shell)
    none = shell("accept", launch["id"], "--yes")
    assert (none.exit_code, "There is no offer" in none.stderr) == (1, True)
    offered(shell, launch)
    other = offered(shell, launch, "--lease", "1d", who="lead2")
    assert shell("accept", launch["id"], "--yes").exit_code == 2
    strange = shell("accept", launch["id"], "0" * 64, "--yes")
    assert (strange.exit_code, "no such offer" in strange.stderr) == (1, True)
    assert world.read(launch["id"])["state"] == "PENDING_APPROVAL"
    taken = shell("accept", launch["id"], other["digest"], "--yes", "--json")
    assert json.loads(taken.stdout)["lease"] == "1d"
    assert other["digest"] in taken.stderr


def test_an_offer_is_bound_to_a_digest_of_an_earlier_look(world: World):
    """What was amended meanwhile is not offered less of, unseen."""
    shell = Shell(Gateway(world))
    launch = asked(shell)
    words = ("offer", launch["id"], "lead", "--lease", "7d", "--yes", "--digest")
    assert shell(*words, "0" * 64, who="lead").exit_code == 1
    assert shell(*words, launch["digest"]).exit_code == 1, "who asked offers nothing"
    assert world.read(launch["id"])["offers"] == []
    assert shell(*words, launch["digest"], who="lead").exit_code == 0


# -- delegation ----------------------------------------------------------------------------------


def test_somebody_stands_in_until_it_is_ended(world: World):
    """Who is away says so in one line, sees it, and ends it; what was decided is told with both names."""
    shell = Shell(Gateway(world))
    launch = asked(shell)
    said = shell("delegate", FINANCE, *UNTIL, who="lead")
    assert said.exit_code == 0, said.output
    assert f"{FINANCE} in force in place of {LEAD}" in flat(said.stdout)
    assert "until 2026-12-01 00:00 UTC" in flat(shell("delegate", who="lead").stdout)
    decided = shell("decide", launch["id"], "--approve", "--yes", who="finance")
    assert f"GO by {FINANCE} in the place of {LEAD}" in flat(decided.stdout)
    assert "not in force" in shell("delegate", "--end", who="lead").stdout
    assert shell("decide", asked(shell)["id"], "--approve", "--yes", who="finance").exit_code == 1


def test_an_operator_delegates_for_somebody_and_from_a_time_on(world: World):
    """Whoever falls ill cannot say it themselves; the rest may not say it for them."""
    shell = Shell(Gateway(world))
    words = ("delegate", FINANCE, *UNTIL, "--from", "2026-11-24T09:00+01:00", "--of", LEAD)
    assert shell(*words, who="finance").exit_code == 1
    assert shell("delegate", "--of", LEAD).exit_code == 1, "nothing was said"
    made = shell.json(*words, who="ops")
    assert (made["since"], made["in_force"]) == ("2026-11-24T08:00:00Z", False)
    assert made["actor"]["subject"] == "lead"
    shown = flat(shell("delegate", "--of", LEAD).stdout)
    assert "not in force" in shown
    assert "said by http://gonogo.local#ops" in shown
    assert shell("delegate", "--end", "--of", LEAD, who="finance").exit_code == 1
    assert shell("delegate", "--end", "--of", LEAD, who="ops").exit_code == 0


# -- break-glass ---------------------------------------------------------------------------------


def test_a_glass_is_broken_only_after_a_look_and_a_yes(world: World):
    """It launches at once, so the price and who is told are said before."""
    shell = Shell(Gateway(world))
    words = ("submit", "web-small", *WHY, "--break-glass")
    before = world.rows()
    looks = [shell(*words, typed=typed) for typed in ("n\n", "", "GO\n")]
    assert [one.exit_code for one in looks] == [1, 1, 1]
    assert world.rows() == before
    for part in ("launched at once", "7.60 a month", "tells operators", "review (Review), stage 1, after"):
        assert part in flat(looks[0].stdout)
    assert shell.json(*words, "--dry-run")["outcome"] == "break_glass"
    assert world.rows() == before

    done = shell(*words, typed="y\n")
    assert done.exit_code == 0, done.output
    world.settle()
    (launch,) = shell.json("list")
    assert launch["state"] == "RUNNING"
    shown = flat(shell("show", launch["id"]).stdout)
    assert "glass is broken" in shown
    assert f"may decide: {LEAD}" in shown, "the review is open while it runs"
    assert "glass is broken" in flat(shell("inbox", who="lead").stdout)
    assert shell("decide", launch["id"], "--approve", "--yes", who="lead").exit_code == 0


def test_a_pipeline_breaks_the_glass_and_whom_policy_does_not_let_does_not(world: World):
    """`--yes` is for machines; the right comes from policy, not from the flag."""
    shell = Shell(Gateway(world))
    words = ("submit", "web-small", *WHY, "--break-glass", "--yes", "--json")
    assert shell(*words, who="lead").exit_code == 1
    assert json.loads(shell(*words).stdout)["state"] == "PENDING"


# -- policy --------------------------------------------------------------------------------------


@pytest.fixture(name="folder")
def folder_of_the_policy(tmp_path: Path) -> Path:
    """Give the world's policy as a folder, with a gate of another title."""
    for name, text in files().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace('"Team lead"', '"Lead of the team"'))
    return tmp_path


def test_a_policy_is_proposed_and_decided_by_its_difference(world: World, folder: Path):
    """It waits like a launch, and whoever decides it reads what would change."""
    shell = Shell(Gateway(world))
    words = ("policy", "propose", str(folder), "--reason", "a better title")
    before = world.rows()
    in_force = shell.json("policy", "show")["bundle"]
    for typed in ("n\n", ""):
        looked = shell(*words, who="ops", typed=typed)
        assert looked.exit_code == 1
        assert f"in force: {in_force}" in looked.stdout
    assert world.rows() == before
    made = shell(*words, who="ops", typed="y\n")
    assert made.exit_code == 0, made.output
    assert "gates.toml" in made.stdout
    assert "policy (Policy), stage 1: OPEN" in made.stdout
    (launch,) = shell.json("list", who="ops")
    world.settle()
    assert "change of policy" in flat(shell("inbox", who="lead").stdout)
    decided = shell("decide", launch["id"], who="lead", typed="GO\n")
    assert decided.exit_code == 0, decided.output
    before_the_word = decided.stdout.split("type GO or NO-GO")[0]
    assert '-title = "Team lead"' in before_the_word
    assert '+title = "Lead of the team"' in before_the_word
    world.settle()
    assert shell.json("policy", "show")["bundle"] != in_force
    assert "+title" in shell("show", launch["id"]).stdout
    again = shell(*words, "--yes", who="ops")
    assert (again.exit_code, "in force already" in again.stderr) == (1, True)


def test_the_same_key_proposes_once(world: World, folder: Path):
    """A pipeline that runs again asks for the same change."""
    shell = Shell(Gateway(world))
    words = ("policy", "propose", str(folder), "--reason", "x", "--yes", "--idempotency-key", "run-17")
    assert shell.json(*words, who="ops")["id"] == shell.json(*words, who="ops")["id"]


def test_a_policy_that_breaks_rules_is_not_sent(folder: Path):
    """Every fault is said where it is written, and nobody is asked."""
    (folder / "gates.toml").write_text("[lead]\ntitle = 1\n")
    there = Answers({})
    result = Shell(there)("policy", "propose", str(folder), "--reason", "x", "--yes")
    assert result.exit_code == 1
    assert "gates.toml" in result.stdout
    assert there.asked == []


def test_a_lost_answer_to_a_proposal_tells_how_to_ask_once(folder: Path):
    """Asking anew without the key would wait twice for the same gate."""
    there = Answers({"PUT /v1/policy": httpx.ReadTimeout("")})
    result = Shell(there)("policy", "propose", str(folder), "--reason", "x", "--yes")
    assert result.exit_code == 1
    assert f"--idempotency-key {there.asked[0].headers['Idempotency-Key']}" in flat(result.stderr)


def test_whoever_may_not_change_policy_is_told_so(world: World, folder: Path):
    """The right to propose is the deployment's to give."""
    before = world.rows()
    result = Shell(Gateway(world))("policy", "propose", str(folder), "--reason", "x", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "403" in result.stderr
    assert world.rows() == before


# -- what others say -----------------------------------------------------------------------------

LATER_OF_A_LAUNCH = (
    "groups",
    "break_glass",
    "amended_by",
    "changes",
    "offers",
    "waits_until",
    "launch_by",
)
OF_A_GATE = (
    *("name", "title", "stage", "state", "quorum", "approvals", "approvers", "login"),
    *("expires_at", "decisions"),
)
OF_A_DECISION = ("actor", "verdict", "at", "comment", "void")


def older(launch: Any) -> Any:
    """Return the launch as a deployment says it that knows only gates for people."""
    gates = [{name: gate[name] for name in OF_A_GATE} for gate in launch["gates"]]
    for gate in gates:
        gate["decisions"] = [{name: one[name] for name in OF_A_DECISION} for one in gate["decisions"]]
    known = {name: value for name, value in launch.items() if name not in LATER_OF_A_LAUNCH}
    return {**known, "gates": gates}


def test_an_older_deployment_reads_as_before(world: World):
    """A command is updated before the deployment that it speaks to."""
    shell = Shell(Gateway(world))
    launch = asked(shell)
    shell("decide", launch["id"], "--reject", "--yes", "--comment", "no", who="lead")
    found = world.read(launch["id"])
    waits = {**launch, "gates": launch["gates"]}
    item = {"gate": older(launch)["gates"][0], "launch": older(launch)}
    path = f"GET /v1/launches/{launch['id']}"
    old = Shell(Answers({path: older(found), "GET /v1/inbox": {"items": [item], "cursor": None}}))
    new = Shell(
        Answers({path: found, "GET /v1/inbox": {"items": [{**item, "launch": waits}], "cursor": None}})
    )
    for words in (("show", launch["id"]), ("inbox",), ("wait", launch["id"])):
        assert old(*words).stdout == new(*words).stdout
        assert launch["id"] in old(*words).stdout


@pytest.mark.parametrize("but", [(), ("state", "kind", "place", "on_expiry", "verdict")])
def test_nothing_new_of_others_can_steer_the_terminal(whole: World, folder: Path, but: tuple[str, ...]):
    """Notes, offers, reasons and policies are text from elsewhere, shown to whoever decides."""

    def evil_of(value: Any) -> Any:
        return nasty(value, but)

    shell = Shell(Gateway(whole))
    launch = asked(shell, "-p", "count=3", "--launch-by", "2026-11-30T08:00Z")
    path = f"/v1/launches/{launch['id']}"
    shell("note", launch["id"], "scan", "scanning", who="scanner")
    whole.settle()
    waits = shell.json("inbox", who="scanner")
    shell("decide", launch["id"], "--approve", "--yes", "--comment", "clean", who="scanner")
    offered(shell, launch, "-p", "count=2", "--comment", "less")
    shell("amend", launch["id"], "--reason", "other", "--yes")
    shell("decide", launch["id"], "--approve", "--yes", "--comment", "clean", who="scanner")
    offered(shell, launch, "-p", "count=1", "--comment", "less")
    undecided = shell.json("why", launch["id"])
    shell("delegate", FINANCE, *UNTIL, who="lead")
    shell("decide", launch["id"], "--approve", "--yes", who="finance")
    whole.settle()
    dry = shell.json("submit", "web-small", *WHY, "--break-glass", "--dry-run")
    change = shell.json("policy", "propose", str(folder), "--reason", "x", "--yes", who="ops")
    found = {**whole.read(launch["id"]), "groups": ["eng"], "failure": None}
    found["gates"][0] |= {"why": "it was late", "passed": "policy lets it"}
    policy_view = evil_of(change) | {"id": change["id"]}
    policy_view["plan"]["engine"] = "policy"
    evil = {
        f"GET {path}": evil_of(found),
        f"GET {path}/events": {"items": evil_of(shell.json("events", launch["id"]))},
        f"GET {path}/why": evil_of(undecided),
        f"POST {path}/notes": evil_of(found),
        f"POST {path}/amend": evil_of(found),
        f"POST {path}/accept": evil_of(found),
        f"POST {path}/offers": problem(409, "x", nasty("no")),
        "GET /v1/inbox": {"items": evil_of(waits), "cursor": None},
        "GET /v1/delegation": evil_of(shell.json("delegate", who="lead")),
        "POST /v1/launches": [evil_of(dry)] * 2 + [evil_of(dry), evil_of(found)] * 2,
        f"GET /v1/launches/{change['id']}": policy_view,
        f"GET /v1/launches/{change['id']}/diff": {"files": {nasty("gates.toml"): nasty("+x")}},
        "GET /v1/templates": {"items": []},
    }
    away = Shell(Answers(evil))
    for words in (
        ("show", launch["id"]),
        ("events", launch["id"]),
        ("why", launch["id"]),
        ("note", launch["id"], "scan", "x"),
        ("amend", launch["id"], "-p", "count=2", "--reason", "y", "--yes"),
        ("amend", launch["id"], "-p", "count=2", "--reason", "y"),
        ("offer", launch["id"], "lead", "--lease", "1d"),
        ("accept", launch["id"]),
        ("inbox",),
        ("delegate",),
        ("submit", "web-small", *WHY, "--break-glass"),
        ("show", change["id"]),
        ("decide", change["id"], "--gate", "policy"),
    ):
        for more in ((), ("--json",)):
            result = away(*words, *more, typed="y\n")
            assert result.exception is None or isinstance(result.exception, SystemExit), words
            assert not set("\x1b\x07\x9b\u202e\u200b\u2066") & set(result.output), words
            if not more:
                assert "\\x1b[2J" in "".join(result.output.split()), words
                assert max(map(len, result.stdout.splitlines()), default=0) <= 80, words


def test_no_line_of_a_note_or_a_value_can_pass_for_ours(whole: World):
    """A system's note and a changed reason may have line breaks; they stay where they stand."""
    shell = Shell(Gateway(whole))
    launch = asked(shell)
    forged = "fine\n  digest       " + "0" * 64 + "\nlead (Team lead), stage 1: GO, 1 of 1"
    shell("note", launch["id"], "scan", forged, who="scanner")
    shell("amend", launch["id"], "--reason", forged, "--yes")
    shell("note", launch["id"], "scan", forged, who="scanner")
    lines = shell("show", launch["id"]).stdout.splitlines()
    digest = whole.read(launch["id"])["digest"]
    assert [one.split()[1] for one in lines if one.startswith("  digest  ")] == [digest]
    why = shell("why", launch["id"]).stdout.splitlines()
    assert sum(one.startswith("  gate ") for one in why) == len(launch["gates"])
    assert not any(one.startswith(("lead (Team", "  digest ")) for one in why)
