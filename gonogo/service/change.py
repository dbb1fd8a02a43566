"""Cancel, retry, stop, start, terminate: by whoever asked, or who could have launched it directly."""

from __future__ import annotations

from gonogo.core import attempts, commands, life, policy
from gonogo.core.errors import NotPermittedError, StalePriceError
from gonogo.core.launch import Launch, Wanted
from gonogo.core.plan import lease_length
from gonogo.core.states import State
from gonogo.ports import Outside
from gonogo.service import saving
from gonogo.service.identity import SignedIn


def may_run(actor: SignedIn, launch: Launch) -> bool:
    """Tell whether somebody may have a launch run on, or not: who asked for it, and who may launch it directly."""
    return actor.actor in launch.askers or policy.may_launch_directly(actor.policy, actor, launch.question)


def cancel(outside: Outside, actor: SignedIn, launch_id: str) -> Launch:
    """End a launch that has not begun; for whoever asked.

    Raises:
        NotFoundError, NotPermittedError, TransitionNotAllowedError: nothing is changed.
    """
    launch = saving.load(outside.items, launch_id)
    if actor.actor not in launch.askers:
        raise NotPermittedError("Only who asked for this launch may cancel it.")
    now = outside.now()
    return saving.change(outside.items, launch, lambda this: commands.cancel(this, actor=actor.actor, at=now))


def retry(outside: Outside, actor: SignedIn, launch_id: str) -> Launch:
    """Try a failed launch again without asking again, while its price holds; for whoever asked.

    The launcher judges gates and authority again, as before every launch.

    Raises:
        StalePriceError: it would cost something else now.
        NotFoundError, NotPermittedError, TransitionNotAllowedError: nothing is changed.
    """
    launch = saving.load(outside.items, launch_id)
    if actor.actor not in launch.askers:
        raise NotPermittedError("Only who asked for this launch may retry it.")
    question = launch.question
    if launch.state is State.FAILED and not question.extends_lease:  # what runs costs what it was approved at
        now_costs = actor.policy.prices.estimate(question.plan, lease_length(question.lease))
        if now_costs.hourly != question.price.hourly:
            raise StalePriceError(str(question.price.hourly), str(now_costs.hourly))
    now, attempt = outside.now(), launch.attempt

    def command(this: Launch) -> Launch:
        if this.attempt > attempt:
            return this
        return attempts.retry(this, at=now)

    return saving.change(outside.items, launch, command)


def change(outside: Outside, actor: SignedIn, launch_id: str, wanted: Wanted) -> Launch:
    """Want a launch stopped, started or terminated; for whoever asked, and who may launch it directly.

    Raises:
        NotFoundError, NotPermittedError, TransitionNotAllowedError: nothing is changed.
    """
    launch = saving.load(outside.items, launch_id)
    if not may_run(actor, launch):
        raise NotPermittedError(
            f"Only who asked for this launch, or may launch it directly, may {wanted} it."
        )
    now = outside.now()
    return saving.change(
        outside.items, launch, lambda this: life.change(this, wanted=wanted, actor=actor.actor, at=now)
    )
