"""Ask for a launch: resolve the plan, price it, judge it, and store it, once."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec

from gonogo.core import canonical, commands, duration, plan, policy
from gonogo.core.errors import (
    Fault,
    InvalidError,
    ItemExistsError,
    KeyReusedError,
    NotPermittedError,
    RefusedError,
)
from gonogo.core.gates import Gate
from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest, Plan, Question
from gonogo.core.policy import Judgement
from gonogo.ports import Outside, Resolver
from gonogo.service import saving
from gonogo.service.identity import SignedIn

Resolvers = Callable[[str], Resolver]
"""Returns the resolver of an engine by name; raises RefusedError where there is none."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would become, before anything is stored."""

    question: Question
    bundle: str
    judgement: Judgement
    gates: tuple[Gate, ...]


def prepare(resolvers: Resolvers, asker: SignedIn, request: LaunchRequest) -> Prepared:
    """Answer what would happen to this request now; nothing is stored.

    Raises:
        InvalidError: template, parameters or lease break a rule.
        NotPermittedError: policy refuses it, or nobody could ever approve it.
        LaterError: a reference in the plan could not be looked up now.
    """
    bundle = asker.policy
    question = _question(resolvers, asker, request)
    judgement = policy.judge(bundle, asker, question)
    if judgement.outcome == "refused":
        raise NotPermittedError(judgement.reason)
    return Prepared(
        question=question,
        bundle=bundle.digest,
        judgement=judgement,
        gates=policy.gates_for(bundle, judgement, question),
    )


def submit(outside: Outside, asker: SignedIn, request: LaunchRequest, key: str | None) -> Launch:
    """Ask for a launch. With an Idempotency-Key, asking again gives the same launch and changes nothing.

    Raises:
        KeyReusedError: the key was used with another request.
        InvalidError, NotPermittedError, LaterError: as for `prepare`.
    """
    seed = ("key", asker.actor.issuer, asker.actor.subject, key) if key is not None else None
    id_ = launch_id(canonical.fingerprint(*seed) if seed else outside.random(32))
    asked = canonical.digest(request)
    if seed is not None:
        before = outside.items.get(Launch, id_)
        if before is not None:
            return _same(before, asked)
    ready = prepare(outside.resolver, asker, request)
    launch = commands.submit(
        id=id_,
        question=ready.question,
        bundle=ready.bundle,
        groups=asker.groups,
        request_digest=asked,
        nonce=outside.random(16).hex(),
        gates=ready.gates,
        at=outside.now(),
    )
    try:
        outside.items.add(launch)
    except ItemExistsError:
        return _same(saving.load(outside.items, id_), asked)
    return launch


def launch_id(seed: bytes) -> str:
    """Return a launch id made of 20 bytes of the seed."""
    return "l-" + base64.b32encode(seed[:20]).decode().lower()


def _same(launch: Launch, asked: str) -> Launch:
    if launch.request_digest != asked:
        raise KeyReusedError
    return launch


def _question(resolvers: Resolvers, asker: SignedIn, request: LaunchRequest) -> Question:
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
    spec, units = resolver.resolve(plan.fill(template.spec, parameters), template.region)
    whole = Plan(
        template=request.template,
        engine=template.engine,
        region=template.region,
        parameters=parameters,
        spec=spec,
        units=units,
    )
    return Question(
        name=request.name,
        reason=request.reason,
        cost_center=request.cost_center,
        requester=asker.actor,
        on_behalf_of=request.on_behalf_of,
        lease=lease,
        plan=whole,
        price=bundle.prices.estimate(whole, duration.parse(lease)),
    )
