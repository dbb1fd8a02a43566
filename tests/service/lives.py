"""The lives that a launch can live, each from the request to its end, with the policy that they are lived under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache

from gonogo.core.errors import RefusedError
from gonogo.core.launch import Launch
from gonogo.core.states import State
from tests.core.builders import also, policy_files, replaced, somebody
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
}
