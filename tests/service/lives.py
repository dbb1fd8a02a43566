"""The lives that a launch can live, each from the request to its end, with the policy that they are lived under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache

from gonogo.core.budget import Ledger
from gonogo.core.errors import RefusedError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from tests.core.builders import also, policy_files, replaced, somebody
from tests.gated import GATES, RULES, SCAN, SCHEMA
from tests.service.road import Road

Life = Callable[[Road], None]

HOOK = 'webhook = { url = "https://hooks.example.com/lead", secret = "lead", private = true }'
OPEN_HOOK = 'webhook = { url = "https://hooks.example.com/room", secret = "room" }'


@cache
def policy() -> dict[str, str]:
    """Return the example policy, with two more leads, and webhooks for two of them."""
    people = "\n".join(
        (
            somebody("lead2", "leads", more='mail = "lead2@example.com"'),
            somebody("lead3", "leads", more=OPEN_HOOK),
        )
    )
    return policy_files(
        people=lambda text: also(people)(
            replaced('mail = "lead@example.com"', f'mail = "lead@example.com"\n{HOOK}')(text)
        )
    )


@cache
def policy_of_two() -> dict[str, str]:
    """Return that policy, with a gate that two must say go on."""
    return {**policy(), "gates.toml": policy()["gates.toml"].replace("quorum = 1", "quorum = 2", 1)}


@cache
def policy_of_haste() -> dict[str, str]:
    """Return that policy, with a gate that expires within the hour."""
    return {**policy(), "gates.toml": policy()["gates.toml"].replace('"3d"', '"40m"', 1)}


@cache
def policy_without_lead() -> dict[str, str]:
    """Return that policy, after lead has left the leads."""
    return {
        **policy(),
        "people.toml": replaced('groups = ["leads"]\nmail = "lead@', 'groups = []\nmail = "lead@')(
            policy()["people.toml"]
        ),
    }


def road(files: Mapping[str, str], *faults: object) -> Road:
    """Return a road under a policy; the webhooks' secrets are known."""
    made = Road(files, *faults)  # type: ignore[arg-type]
    made.outside.safe.known |= {"lead": ("whsec_bGVhZA==",), "room": ("whsec_cm9vbQ==",)}
    return made


def runs(this: Road, launch: Launch) -> bool:
    """Tell whether it runs, each of its instances seen."""
    now = this.now(launch)
    return now.state is State.RUNNING and {one.state for one in now.resources} == {"running"}


def asked(this: Road, *whom: str) -> None:
    """Wait until each of these has been asked to decide: by mail, or with `hook` by webhook."""
    names = {tuple(one.split()) for one in whom}
    this.until(
        lambda: (
            names
            <= {
                (one.to, "hook") if one.channel == "webhook" else (one.to,)
                for one in this.letters(topic="decide")
            }
        )
    )


def asked_of(this: Road, gate: str, *whom: str) -> None:
    """Wait until each of these has been asked, by mail, to decide this gate."""
    this.until(lambda: set(whom) <= {one.to for one in this.letters(topic="decide") if one.gate == gate})


LEADS = ("lead", "lead hook", "lead2", "lead3 hook")


def ends(this: Road, launch: Launch, who: str = "dev") -> None:
    """Terminate it."""
    this.change(who, launch, "terminate")
    this.until(lambda: this.state(launch) is State.TERMINATED)


def by_link(this: Road) -> None:
    """Two instances, approved by a link; stopped, started and terminated."""
    launch = this.submit(parameters={"count": 2})
    asked(this, *LEADS)
    this.follow(this.wait_for_code("lead2"))
    this.until(lambda: runs(this, launch))
    this.change("dev", launch, "stop")
    this.until(lambda: this.state(launch) is State.STOPPED)
    this.change("dev", launch, "start")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def two_stages(this: Road) -> None:
    """Something dear: approved by a private webhook, then by somebody signed in; ended by its lease."""
    launch = this.submit(name="gpu-large", lease="2h")
    asked(this, *LEADS)
    this.follow(this.wait_for_code("lead", channel="webhook"))
    asked(this, "finance")
    this.decide("finance", launch, "finance")
    this.until(lambda: runs(this, launch))
    this.until(lambda: this.state(launch) is State.TERMINATED, within=timedelta(hours=4))


def at_once(this: Road) -> None:
    """Somebody decides before anybody is told: nobody need be asked any more."""
    launch = this.submit()
    this.decide("lead2", launch, "lead")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def rejected(this: Road) -> None:
    """One no."""
    launch = this.submit()
    asked(this, *LEADS)
    this.follow(this.wait_for_code("lead"), "reject")
    this.until(lambda: this.state(launch) is State.REJECTED)


def expired(this: Road) -> None:
    """Nobody says anything."""
    launch = this.submit()
    this.until(lambda: this.state(launch) is State.EXPIRED)


def cancelled(this: Road) -> None:
    """Whoever asked wants it no longer, after the approvers were asked."""
    launch = this.submit()
    asked(this, *LEADS)
    this.change("dev", launch, "cancel")
    this.until(lambda: this.state(launch) is State.CANCELLED)


def direct(this: Road) -> None:
    """No gate; the instance ends by itself."""
    launch = this.submit("ops")
    this.until(lambda: runs(this, launch))
    this.cloud.turn(this.now(launch).resources[0].id, "terminated")
    this.until(lambda: this.state(launch) is State.TERMINATED)


def retried(this: Road) -> None:
    """The engine refuses; it is tried again without asking again."""
    launch = this.submit()
    asked(this, *LEADS)
    this.cloud.refusal = RefusedError("InsufficientInstanceCapacity", "There is none left.")
    this.follow(this.wait_for_code("lead"))
    this.until(lambda: this.state(launch) is State.FAILED)
    this.cloud.refusal = None
    this.change("dev", launch, "retry")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def reopened(this: Road) -> None:
    """Who approved may do so no longer when it comes to the launch: somebody else must."""
    launch = this.submit()
    asked(this, *LEADS)
    this.queues["launch"].held = True
    this.follow(this.wait_for_code("lead"))
    first = this.wait_for_code("lead2")
    this.publish_policy(policy_without_lead())
    assert this.state(launch) is State.PENDING
    this.queues["launch"].held = False
    this.until(lambda: this.code("lead2") != first)
    this.until(lambda: len({one.id for one in this.letters("lead3", "decide")}) == 2)
    this.follow(this.wait_for_code("lead2"))
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def revoked(this: Road) -> None:
    """Two must say go; one takes it back, by the link in the confirmation, and gives it again."""
    launch = this.submit()
    asked(this, *LEADS)
    this.follow(this.wait_for_code("lead"))
    this.follow(this.wait_for_code("lead", "confirmed"), "revoke")
    assert not this.now(launch).gate("lead").approvals
    this.decide("lead", launch, "lead")
    this.decide("lead3", launch, "lead")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def change_refused(this: Road) -> None:
    """The engine will not stop it; it goes on, and is terminated later."""
    launch = this.submit("ops")
    this.until(lambda: runs(this, launch))
    this.cloud.refusal = RefusedError("UnsupportedOperation", "It cannot be stopped.")
    this.change("ops", launch, "stop")
    this.until(lambda: "launch.change_failed" in this.history(launch))
    this.cloud.refusal = None
    assert this.state(launch) is State.RUNNING
    ends(this, launch, "ops")


# Lives behind gates of every kind


@cache
def policy_of_gates() -> dict[str, str]:
    """Return a policy with every kind of gate, and who is reached how."""
    people = "\n".join(
        (
            somebody("lead2", "leads", more='mail = "lead2@example.com"'),
            somebody("scanner", more=f"{SCANNER_HOOK}\nservice = true"),
        )
    )
    files = policy_files(people=also(people), policies=RULES, gates=GATES, schema=SCHEMA)
    files["budgets.toml"] = '[training]\nmonthly = "1000"\n'
    files.pop("tests.toml", None)
    return files


SCANNER_HOOK = 'webhook = { url = "https://hooks.example.com/scan", secret = "lead", private = true }'


@cache
def policy_of_hooks() -> dict[str, str]:
    """Return that policy, with a scanner that must pass; people decide if it does not answer."""
    scan = '[scan]\ntitle = "Scanner"\nkind = "hook"\nexpires_after = "10m"\n'
    files = policy_of_gates()
    return {
        **files,
        "gates.toml": files["gates.toml"] + scan + 'on_expiry = "escalate"\nescalate_to = "lead"\n',
        "policies.cedar": files["policies.cedar"] + SCAN,
    }


@cache
def policy_of_patience() -> dict[str, str]:
    """Return that policy, with leads that are reminded, then operators asked too, and a wait at the end."""
    files = policy_of_gates()
    lead = 'title = "Team lead"\nremind_every = "1h"\nescalate_after = "4h"\nescalate_to = "operators"'
    calm = '@gate("calm") permit (principal in Group::"developers", action == Action::"request", resource);'
    return {
        **files,
        "gates.toml": files["gates.toml"].replace('title = "Team lead"', lead)
        + '[calm]\ntitle = "Calm"\nkind = "timer"\nwait = "45m"\n',
        "policies.cedar": files["policies.cedar"] + calm,
    }


def by_hook(this: Road) -> None:
    """A system says how far it is, and passes, by its token; then people are asked."""
    launch = this.submit()
    code = this.wait_for_code("scanner", channel="webhook")
    this.note("scanner", launch, "scan", "half done")
    this.follow(code)
    asked(this, "lead", "lead2")
    this.follow(this.wait_for_code("lead"))
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def unanswered(this: Road) -> None:
    """A system does not answer; people decide in its stead, and then their own gate."""
    launch = this.submit()
    this.until(lambda: this.now(launch).gate("scan").kind == "human", within=timedelta(hours=1))
    asked_of(this, "scan", "lead", "lead2")
    this.decide("lead", launch, "scan")
    asked_of(this, "lead", "lead", "lead2")
    this.decide("lead2", launch, "lead")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def patient(this: Road) -> None:
    """Nobody hears the reminders; operators are asked too, say go, and it waits as it must."""
    launch = this.submit()
    asked(this, "lead", "lead2")
    this.until(lambda: this.now(launch).gate("lead").escalated, within=timedelta(hours=5))
    asked(this, "ops")
    this.decide("ops", launch, "lead")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def amended(this: Road) -> None:
    """Approved by one, amended, and approved anew by another."""
    launch = this.submit()
    asked(this, "lead", "lead2")
    amended = this.amend("dev", launch, parameters={"count": 2})
    for lead in ("lead", "lead2"):
        this.until(lambda who=lead: len({one.id for one in this.letters(who, "decide")}) == 2)  # type: ignore[misc]
    this.decide("lead2", amended, "lead")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def offered(this: Road) -> None:
    """An approver would say go to less, and whoever asked takes that."""
    launch = this.submit(parameters={"count": 2})
    asked(this, "lead", "lead2")
    this.accept("dev", launch, this.offer("lead", launch, parameters={"count": 1}))
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def delegated(this: Road) -> None:
    """Who is away lets somebody else decide."""
    this.delegate("lead", "finance", days=5)
    launch = this.submit()
    asked(this, "lead", "lead2", "finance")
    this.decide("finance", launch, "lead")
    this.until(lambda: runs(this, launch))
    ends(this, launch)


def broken_glass(this: Road) -> None:
    """Launched at once, reviewed while it runs, ended."""
    launch = this.submit(break_glass=True)
    this.until(lambda: runs(this, launch))
    asked(this, "lead", "lead2")
    this.decide("lead", launch, "review")
    ends(this, launch)


def budgeted(this: Road) -> None:
    """It holds its budget while it runs, and lets go of it at its end."""
    launch = this.submit(cost_center="training", lease="40d")
    this.decide("lead", launch, "lead")
    this.until(lambda: runs(this, launch))
    assert [sorted(one.held) for one in this.table.all(Ledger)] == [[launch.id]] * 3
    ends(this, launch)


@cache
def another_policy() -> dict[str, str]:
    """Return a policy that differs, and has been checked in this process before: each life makes the same calls."""
    files = policy_of_gates()
    another = {**files, "gates.toml": files["gates.toml"] + "# another\n"}
    Road(another)
    return another


def policy_changed(this: Road) -> None:
    """Another policy is asked for, and put in force once its gate is GO."""
    launch = this.propose("ops", another_policy())
    asked(this, "lead", "lead2")
    this.decide("lead", launch, "policy")
    this.until(lambda: this.state(launch) is State.TERMINATED)


# Lives whose lease is extended, and lives outside of AWS

EXTEND = """
permit (principal in Group::"developers", action == Action::"extend", resource)
when { context.worst_case_cost.lessThan(decimal("20.0")) };
"""
BATCH = """
title = "A batch of jobs"
engine = "event"
region = "factory"
lease = { default = "8h", max = "never", warn = "30m" }

[parameters.properties.jobs]
type = "integer"
minimum = 1
maximum = 9
default = 2

[spec]
reporter = { issuer = "http://gonogo.local", subject = "factory" }
units = [{ kind = "job", quantity = { parameter = "jobs" } }]

[spec.order]
queue = "night"
jobs = { parameter = "jobs" }
"""


@cache
def policy_of_leases() -> dict[str, str]:
    """Return a policy by which developers extend at once what costs little, and a system launches batches."""
    files = policy_of_gates()
    factory = somebody("factory", more=f"service = true\n{SCANNER_HOOK.replace('/scan', '/factory')}")
    extend = replaced('"request", "break_glass" appliesTo', '"request", "break_glass", "extend" appliesTo')
    return {
        **files,
        "schema.cedarschema": extend(files["schema.cedarschema"]),
        "policies.cedar": files["policies.cedar"] + EXTEND,
        "people.toml": also(factory)(files["people.toml"]),
        "prices.toml": also('[hourly.event.factory]\njob = "0.25"')(files["prices.toml"]),
        "templates/batch.toml": BATCH,
        "templates/web-small.toml": replaced('max = "90d"', 'max = "90d", warn = "25m"')(
            files["templates/web-small.toml"]
        ),
    }


def extended(this: Road) -> None:
    """Told ahead, extended at once, told again, and ended by its lease."""
    launch = this.submit(cost_center="training", lease="40m")
    this.decide("lead", launch, "lead")
    this.until(lambda: runs(this, launch))
    this.until(lambda: this.letters("dev", "expiring"))
    over = this.now(launch).lease_ends_at
    assert over is not None
    this.extend("dev", launch, over + timedelta(minutes=30))
    this.until(lambda: len({one.id for one in this.letters("dev", "expiring")}) == 2)
    assert this.clock() >= over
    this.until(lambda: this.state(launch) is State.TERMINATED)


def extended_behind_gates(this: Road) -> None:
    """What costs more waits for a lead, as a launch of its own, and is then extended by the launcher."""
    launch = this.submit(name="gpu-large", cost_center="training", lease="40m")
    this.decide("lead", launch, "lead")
    this.until(lambda: runs(this, launch))
    over = this.now(launch).lease_ends_at
    assert over is not None
    asked = this.extend("dev", launch, over + timedelta(hours=1), "The last epochs are missing.")
    leads = {"lead", "lead2"}
    this.until(lambda: {one.to for one in this.letters(topic="decide") if one.launch == asked.id} == leads)
    this.decide("lead", asked, "lead")
    this.until(lambda: this.state(asked) is State.TERMINATED)
    assert this.now(launch).lease_ends_at == over + timedelta(hours=1)
    this.until(lambda: this.letters("dev", "extended"))
    ends(this, launch)


def by_outside_system(this: Road) -> None:
    """A system hears that a batch is cleared, launches it, and reports each turn."""
    launch = this.submit(name="batch")
    this.decide("lead", launch, "lead")
    this.until(lambda: this.state(launch) is State.LAUNCHING)
    this.report("factory", launch, "started", resources=("job-1", "job-2"))
    this.until(lambda: runs(this, launch))
    this.change("dev", launch, "stop")
    this.report("factory", launch, "stopped")
    this.change("dev", launch, "start")
    this.report("factory", launch, "started")
    this.change("dev", launch, "terminate")
    this.report("factory", launch, "terminated")


LIVES: Mapping[str, tuple[Callable[[], Mapping[str, str]], Life]] = {
    "by link": (policy, by_link),
    "at once": (policy, at_once),
    "two stages": (policy, two_stages),
    "rejected": (policy, rejected),
    "expired": (policy_of_haste, expired),
    "cancelled": (policy, cancelled),
    "direct": (policy, direct),
    "retried": (policy, retried),
    "reopened": (policy, reopened),
    "revoked": (policy_of_two, revoked),
    "change refused": (policy, change_refused),
    "by hook": (policy_of_hooks, by_hook),
    "unanswered": (policy_of_hooks, unanswered),
    "patient": (policy_of_patience, patient),
    "amended": (policy_of_gates, amended),
    "offered": (policy_of_gates, offered),
    "delegated": (policy_of_gates, delegated),
    "broken glass": (policy_of_gates, broken_glass),
    "budgeted": (policy_of_gates, budgeted),
    "policy changed": (policy_of_gates, policy_changed),
    "extended": (policy_of_leases, extended),
    "extended behind gates": (policy_of_leases, extended_behind_gates),
    "by outside system": (policy_of_leases, by_outside_system),
}
