"""Ask for a launch: resolve the plan, price it, judge it, and store it, once."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from gonogo.core import canonical, commands, duration, plan, policy
from gonogo.core.actor import Actor
from gonogo.core.budget import Standing
from gonogo.core.bundle import Bundle
from gonogo.core.errors import (
    Fault,
    InvalidError,
    ItemExistsError,
    KeyReusedError,
    NotPermittedError,
    RefusedError,
    UnreviewedError,
)
from gonogo.core.gates import Gate
from gonogo.core.glass import Glass, glass_id, is_reviewed
from gonogo.core.launch import Launch
from gonogo.core.plan import Choice, LaunchRequest, Place, Plan, Question
from gonogo.core.policy import Judgement, Principal
from gonogo.ports import Outside, Resolver
from gonogo.service import budgets, limits, saving
from gonogo.service.identity import SignedIn

Resolvers = Callable[[str], Resolver]
"""Returns the resolver of an engine by name; raises RefusedError where there is none."""
Stands = Callable[[Question], Standing | None]
"""Returns how a question would stand to its cost center's budget, None where that has none."""


def no_budget(_question: Question) -> Standing | None:
    """Answer that no cost center has a budget: for where none can be looked up."""
    return None


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would become, before anything is stored; `barred` decide none of its gates either."""

    question: Question
    bundle: str
    judgement: Judgement
    gates: tuple[Gate, ...]
    budget: Standing | None = None
    waits: str | None = None
    warns: timedelta = timedelta(0)
    barred: frozenset[Actor] = frozenset()


def prepare(
    resolvers: Resolvers,
    asker: SignedIn,
    request: LaunchRequest,
    *,
    now: datetime,
    standing: Stands = no_budget,
    barred: frozenset[Actor] = frozenset(),
) -> Prepared:
    """Answer what would happen to this request now; nothing is stored.

    Args:
        standing: how a question would stand to its cost center's budget.
        barred: who may decide no gate of it, besides those who ask.

    Raises:
        InvalidError: template, parameters or lease break a rule.
        NotPermittedError: policy refuses it, or nobody could ever approve it.
        LaterError: a reference in the plan could not be looked up now.
    """
    bundle = asker.policy
    return judged(bundle, asker, question_of(resolvers, asker, request, now), standing, barred)


def judged(
    bundle: Bundle,
    asker: Principal,
    question: Question,
    standing: Stands = no_budget,
    barred: frozenset[Actor] = frozenset(),
) -> Prepared:
    """Answer what would happen to this question now; nothing is stored.

    Raises:
        NotPermittedError: policy refuses it, or nobody could ever approve it.
    """
    budget = standing(question)
    judgement = policy.judge(bundle, asker, question, budget)
    if judgement.outcome == "refused":
        raise NotPermittedError(judgement.reason)
    template = bundle.templates.get(question.plan.template)
    return Prepared(
        question=question,
        bundle=bundle.digest,
        judgement=judgement,
        gates=policy.gates_for(bundle, judgement, question, barred),
        budget=budget,
        waits=template.wait if template is not None else None,
        warns=plan.warning(question.lease, template.lease.warn) if template is not None else timedelta(0),
        barred=barred,
    )


def answer(outside: Outside, asker: SignedIn, request: LaunchRequest) -> Prepared:
    """Answer what would happen to this request now, its cost center's budget looked at; nothing is stored.

    Raises:
        InvalidError, NotPermittedError, LaterError: as for `prepare`.
        UnreviewedError: it would break the glass again before the last time is reviewed.
    """
    ready = prepare(
        outside.resolver,
        asker,
        request,
        now=outside.now(),
        standing=lambda question: budgets.standing(outside, asker.policy, question),
    )
    if request.break_glass:
        require_reviewed(outside, asker.actor)
    return ready


def require_reviewed(outside: Outside, actor: Actor) -> None:
    """Raise UnreviewedError if the last time that the actor broke the glass is not reviewed yet.

    The launcher looks again, and takes the glass, before it launches.
    """
    before = outside.items.get(Glass, glass_id(actor))
    if before is not None and not is_reviewed(outside.items.get(Launch, before.launch)):
        raise UnreviewedError(before.launch)


def submit(outside: Outside, asker: SignedIn, request: LaunchRequest, key: str | None) -> Launch:
    """Ask for a launch. With an Idempotency-Key, asking again gives the same launch and changes nothing.

    Raises:
        KeyReusedError: the key was used with another request.
        InvalidError, NotPermittedError, LaterError: as for `answer`.
    """
    return once(outside, asker, request.digest, key, lambda: answer(outside, asker, request))


def once(
    outside: Outside, asker: SignedIn, asked: str, key: str | None, ready_now: Callable[[], Prepared]
) -> Launch:
    """Store a launch for what is `asked` (its digest): with an Idempotency-Key once, however often it is asked.

    Raises:
        KeyReusedError: the key was used with something else.
        TooManyError: the actor has asked for as many launches of late as one may.
    """
    seed = ("key", asker.actor.issuer, asker.actor.subject, key) if key is not None else None
    id_ = launch_id(canonical.fingerprint(*seed) if seed else outside.random(32))
    if seed is not None:
        before = outside.items.get(Launch, id_)
        if before is not None:
            return _same(before, asked)
    limits.require_few_launches(outside, asker.actor)
    ready, now = ready_now(), outside.now()
    launch = commands.submit(
        id=id_,
        question=ready.question,
        bundle=ready.bundle,
        groups=asker.groups,
        request_digest=asked,
        nonce=outside.random(16).hex(),
        gates=ready.gates,
        owners=tuple(sorted(policy.owners(asker.policy, ready.question) | ready.barred)),
        waits_until=now + duration.parse(ready.waits) if ready.waits is not None else None,
        tells=ready.judgement.tells,
        warns=int(ready.warns.total_seconds()),
        at=now,
    )
    try:
        return outside.items.add(launch)
    except ItemExistsError:
        return _same(saving.load(outside.items, id_), asked)


def launch_id(seed: bytes) -> str:
    """Return a launch id made of 20 bytes of the seed."""
    return "l-" + base64.b32encode(seed[:20]).decode().lower()


def _same(launch: Launch, asked: str) -> Launch:
    if launch.request_digest != asked:
        raise KeyReusedError
    return launch


def _launch_by(asked: datetime | None, within: str | None, now: datetime) -> datetime | None:
    """Return until when it must be launched: as asked, but no later than the template allows."""
    if asked is not None and asked <= now:
        raise InvalidError(Fault("/launch_by", "minimum", "is over already"))
    latest = now + duration.parse(within) if within is not None else None
    return min((one for one in (asked, latest) if one is not None), default=None)


def question_of(resolvers: Resolvers, asker: SignedIn, request: LaunchRequest, now: datetime) -> Question:
    """Return the question that a request is: resolved, priced, with nothing left open.

    Raises:
        InvalidError, NotPermittedError, LaterError: as for `prepare`.
    """
    bundle = asker.policy
    template = bundle.templates.get(request.template)
    if template is None:
        raise InvalidError(Fault("/template", "template", f"there is no template {request.template!r}"))
    parameters = bundle.check_parameters(request.template, request.parameters)
    lease = plan.lease_for(request.template, template.lease, request.lease)
    try:
        resolver = resolvers(template.engine)
    except RefusedError as error:
        raise NotPermittedError(str(error)) from error
    place = Place(template.region, template.account)
    specs = [template.spec, *({**template.spec, **choice} for choice in template.choices)]
    (spec, units), *others = (
        resolver.resolve(plan.fill(one, parameters), place, bundle.files) for one in specs
    )
    whole = Plan(
        template=request.template,
        engine=template.engine,
        region=template.region,
        parameters=parameters,
        spec=spec,
        units=units,
        account=template.account,
        choices=tuple(Choice(spec=one, units=of) for one, of in others),
        partial=template.partial,
    )
    return Question(
        name=request.name,
        reason=request.reason,
        cost_center=request.cost_center,
        requester=asker.actor,
        on_behalf_of=request.on_behalf_of,
        lease=lease,
        plan=whole,
        price=bundle.prices.estimate(whole, plan.lease_length(lease)),
        launch_by=_launch_by(request.launch_by, template.launch_within, now),
        break_glass=request.break_glass,
    )
