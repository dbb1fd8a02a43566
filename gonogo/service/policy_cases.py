"""Whether a bundle does what its writer means: its rules, its templates, and the cases of tests.toml.

A case is judged by the very function that answers a dry run, so it cannot say one thing and the API another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from gonogo.core import bundle_rules, lease, plan, policy, published
from gonogo.core.actor import Actor
from gonogo.core.budget import Ledger, Standing, opened
from gonogo.core.bundle import STACKS, Bundle, Person, Template, digest_of
from gonogo.core.bundle_lines import TomlFile
from gonogo.core.errors import (
    BundleRefusedError,
    Fault,
    InvalidError,
    LaterError,
    NotPermittedError,
    RefusedError,
)
from gonogo.core.lease import Extension
from gonogo.core.plan import LaunchRequest, Question
from gonogo.service import budgets, submit
from gonogo.service.identity import SignedIn
from gonogo.service.submit import Resolvers

FILE = "tests.toml"
GATED = ("gates", "break_glass")
Outcome = Literal["direct", "gates", "break_glass", "refused", "invalid"]


class Expect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What should be answered: launch now, after just these gates, refused by policy, or no valid request.

    With `break_glass` it launches now, and just these gates open after. `approvers` has, for some of the gates,
    the names of those who may decide it, and of nobody else.
    """

    outcome: Outcome
    gates: tuple[str, ...] = ()
    approvers: dict[str, tuple[str, ...]] = {}


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request: by a person of people.toml, or by `issuer` and `subject` with what their token claims.

    `committed` is what other launches hold and have spent of its cost center's budget, in each month. With `extend`
    it runs, and its lease is to end so much later, or `never`.
    """

    name: str
    template: str
    expect: Expect
    person: str | None = None
    issuer: str | None = None
    subject: str | None = None
    claims: dict[str, tuple[str, ...]] = {}
    parameters: dict[str, Any] = {}
    lease: str | None = None
    reason: str = "A case of tests.toml."
    cost_center: str = "tests"
    on_behalf_of: str | None = None
    break_glass: bool = False
    committed: Decimal | None = None
    extend: str | None = None


class _Cases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    case: tuple[Case, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the bundle answers to a case; `reason` says why not, where it does not."""

    outcome: Outcome
    gates: tuple[str, ...] = ()
    reason: str = ""
    approvers: dict[str, tuple[str, ...]] = {}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A case and its answer."""

    case: Case
    answer: Answer

    @property
    def holds(self) -> bool:
        """Whether the answer is what the case expects; no order says anything."""
        expect, answer = self.case.expect, self.answer
        return (expect.outcome, sorted(expect.gates)) == (answer.outcome, sorted(answer.gates)) and all(
            sorted(names) == sorted(answer.approvers.get(gate, ()))
            for gate, names in expect.approvers.items()
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a bundle: its faults or, where there is none, how its cases went."""

    digest: str
    faults: tuple[Fault, ...]
    results: tuple[Result, ...]

    @property
    def holds(self) -> bool:
        """Whether there is no fault, and every case is answered as it expects."""
        return not self.faults and all(one.holds for one in self.results)


def check(files: Mapping[str, str], resolvers: Resolvers, now: datetime) -> Report:
    """Check a bundle whole and run its cases; every fault that can be found is in the report.

    Args:
        files: relative path with `/` to text.
        resolvers: should keep aliases, so that nothing outside is asked.
        now: any time, aware; no answer depends on it.
    """
    cases, faults = _read(files.get(FILE, ""))
    digest = digest_of(files)
    try:
        bundle = policy.accept(files)
        published.stored(files, now)
    except BundleRefusedError as error:
        return Report(digest=digest, faults=(*error.faults, *faults), results=())
    faults += [fault for name in bundle.templates for fault in _template_faults(bundle, name, resolvers)]
    faults += [fault for fault in _stack_faults(bundle, resolvers) if fault not in faults]
    faults += [fault for index, case in enumerate(cases) for fault in _case_faults(bundle, index, case)]
    return _answered(bundle, cases, faults, resolvers, now)


def run(files: Mapping[str, str], resolvers: Resolvers, now: datetime) -> Report:
    """Run the cases of a bundle, without a look at whether its templates could be launched.

    Args:
        files, resolvers, now: as for `check`.
    """
    cases, faults = _read(files.get(FILE, ""))
    digest = digest_of(files)
    try:
        bundle = policy.accept(files)
    except BundleRefusedError as error:
        return Report(digest=digest, faults=(*error.faults, *faults), results=())
    faults += [fault for index, case in enumerate(cases) for fault in _case_faults(bundle, index, case)]
    return _answered(bundle, cases, faults, resolvers, now)


def _answered(
    bundle: Bundle, cases: Sequence[Case], faults: Sequence[Fault], resolvers: Resolvers, now: datetime
) -> Report:
    """Return the answers to the cases, if there is no fault; a case that cannot be answered here is one."""
    if faults:
        return Report(digest=bundle.digest, faults=tuple(faults), results=())
    file = TomlFile(FILE, bundle.files.get(FILE, ""))
    results, open_ = [], []
    for index, case in enumerate(cases):
        try:
            results.append(Result(case=case, answer=_answer(bundle, case, resolvers, now)))
        except LaterError as error:
            where = file.at("case", index, "template")
            open_.append(Fault(where, "template", f"case {case.name!r}: {error}"))
    return Report(digest=bundle.digest, faults=tuple(open_), results=() if open_ else tuple(results))


def _read(text: str) -> tuple[tuple[Case, ...], list[Fault]]:
    cases, fault = bundle_rules.read_toml(FILE, text, _Cases)
    return (cases.case if cases is not None else ()), ([fault] if fault is not None else [])


def _case_faults(bundle: Bundle, index: int, case: Case) -> Iterator[Fault]:
    """Yield what makes the case one that could never mean anything."""
    file = TomlFile(FILE, bundle.files.get(FILE, ""))
    for key, rule, detail in _case_rules(bundle, case):
        yield Fault(file.at("case", index, key), rule, f"case {case.name!r}: {detail}")


def _case_rules(bundle: Bundle, case: Case) -> Iterator[tuple[str, str, str]]:
    """Yield the key of the case, the rule that it breaks, and what is wrong in words."""
    for key, name in (("person", case.person), ("on_behalf_of", case.on_behalf_of)):
        if name is not None and len(_named(bundle, name)) != 1:
            yield key, "person", f"people.toml has not just one {name!r}"
    given = (case.person is not None, case.issuer is not None, case.subject is not None)
    if given not in ((True, False, False), (False, True, True)):
        yield "person", "person", "name a person, or an issuer and a subject"
    if case.template not in bundle.templates:
        yield "template", "template", f"there is no template {case.template!r}"
    if case.committed is not None and case.cost_center not in bundle.budgets:
        yield "committed", "budget", f"budgets.toml has no cost center {case.cost_center!r}"
    try:
        plan.lease_length(case.extend or plan.NEVER)
    except ValueError as error:
        yield "extend", "duration", str(error)
    for rule, detail in _expect_rules(bundle, case.expect):
        yield "expect", rule, detail


def _expect_rules(bundle: Bundle, expect: Expect) -> Iterator[tuple[str, str]]:
    for gate in sorted({*expect.gates, *expect.approvers} - set(bundle.gates)):
        yield "gate", f"gates.toml has no gate {gate!r}"
    if (expect.outcome in GATED) != bool(expect.gates):
        yield "gate", "gates go with the outcomes 'gates' and 'break_glass' and no other"
    for gate in sorted(set(expect.approvers) - set(expect.gates)):
        yield "approvers", f"the gate {gate!r} is not among those that are expected"
    for name in sorted({one for names in expect.approvers.values() for one in names}):
        if len(_named(bundle, name)) != 1:
            yield "person", f"people.toml has not just one {name!r}"


def _named(bundle: Bundle, name: str) -> list[Person]:
    return [person for person in bundle.people.values() if person.name == name]


def _template_faults(bundle: Bundle, name: str, resolvers: Resolvers) -> Iterator[Fault]:
    """Yield what would make requests of it fail: tried with its defaults and each value of each enum.

    What has no default and must be given is tried with the first of its `examples`.
    """
    path, template = f"templates/{name}.toml", bundle.templates[name]
    file = TomlFile(path, bundle.files[path])
    try:
        resolver = resolvers(template.engine)
    except RefusedError as error:
        yield Fault(file.at("engine"), "engine", str(error))
        return
    seen: set[Fault] = set()
    first = next(_choices(template))
    for choice in _choices(template):
        try:
            parameters = bundle.check_parameters(name, choice)
        except InvalidError as error:
            wrong = [one for one in error.faults if one.rule != "required"] if choice == first else []
            seen.update(
                Fault(
                    file.at("parameters", "properties", *one.pointer.split("/")[2:], "default"),
                    one.rule,
                    f"the defaults: {one}",
                )
                for one in wrong
            )
            continue
        try:
            place = plan.Place(template.region, template.account)
            for spec in (template.spec, *({**template.spec, **one} for one in template.choices)):
                _, units = resolver.resolve(plan.fill(spec, parameters), place, bundle.files)
                for unit in units:
                    bundle.prices.of_unit(template.engine, template.region, unit.kind)
        except InvalidError as error:
            seen.update(Fault(_at(file, one.pointer), one.rule, one.detail) for one in error.faults)
        except NotPermittedError as error:
            seen.add(Fault(file.at("spec", "instance_type"), "price", str(error)))
        except LaterError:
            continue  # what it names is known where it is launched, and nobody is asked here
    yield from sorted(seen, key=str)


def _at(file: TomlFile, pointer: str) -> str:
    """Return where in a template, or in a file that it names, is what a resolver finds wrong."""
    if not pointer.startswith("/"):
        return pointer
    keys = pointer.split("/")[1:]
    return file.at(*(("spec", *keys[1:]) if keys[0] == "template" else keys))


def _stack_faults(bundle: Bundle, resolvers: Resolvers) -> Iterator[Fault]:
    """Yield what cannot be read of the files of stacks/, whatever parameters the templates that name them take."""
    stacks = [path for path in bundle.files if path.startswith(STACKS)]
    for path in stacks:
        spec = {"template": path, "units": [{"kind": "any"}]}
        try:
            resolvers("cloudformation").resolve(spec, plan.Place(""), bundle.files)
        except InvalidError as error:
            yield from (one for one in error.faults if one.pointer.startswith(path))


def _choices(template: Template) -> Iterator[dict[str, Any]]:
    rules = {
        name: rule
        for name, rule in template.parameters.get("properties", {}).items()
        if isinstance(rule, dict)
    }
    needed = template.parameters.get("required", ())
    given = {
        name: rule["examples"][0]
        for name, rule in rules.items()
        if name in needed and "default" not in rule and rule.get("examples")
    }
    yield given
    for name, rule in rules.items():
        for value in rule.get("enum", ()):
            yield {**given, name: value}


def _answer(bundle: Bundle, case: Case, resolvers: Resolvers, now: datetime) -> Answer:
    asker = _principal(bundle, case)
    if asker.actor not in bundle.people and not asker.groups:
        return Answer(outcome="refused", reason="Policy knows nobody by that issuer and subject.")
    request = LaunchRequest(
        template=case.template,
        parameters=case.parameters,
        reason=case.reason,
        cost_center=case.cost_center,
        lease=case.lease,
        on_behalf_of=_named(bundle, case.on_behalf_of)[0].actor if case.on_behalf_of is not None else None,
        break_glass=case.break_glass,
    )

    def standing(question: Question) -> Standing | None:
        if not budgets.has_budget(bundle, question):
            return None
        asked = budgets.asked(question, now)
        ledgers = {month: _ledger(question.cost_center, month, case.committed, now) for month in asked}
        return budgets.stands(bundle, question, ledgers, now)

    try:
        if case.extend is not None:
            asked = submit.question_of(resolvers, asker, request, now)
            question = _extended(bundle, asker, asked, case.extend, now)
            prepared = submit.judged(bundle, asker, question, standing)
        else:
            prepared = submit.prepare(resolvers, asker, request, now=now, standing=standing)
    except NotPermittedError as error:
        return Answer(outcome="refused", reason=str(error))
    except InvalidError as error:
        return Answer(outcome="invalid", reason=str(error))
    return Answer(
        outcome=prepared.judgement.outcome,
        gates=tuple(gate.name for gate in prepared.gates),
        approvers={
            gate.name: tuple(sorted(bundle.people[one].name for one in gate.approvers))
            for gate in prepared.gates
        },
    )


def _extended(bundle: Bundle, asker: SignedIn, asked: Question, by: str, now: datetime) -> Question:
    """Return the question whether what was asked for, and runs since now, may run for so much longer.

    Raises:
        InvalidError: its lease has no end, or the template allows no such lease.
    """
    if asked.lease == plan.NEVER:
        raise InvalidError(Fault("/extend", "maximum", "its lease has no end"))
    name, previous = asked.plan.template, now + plan.lease_length(asked.lease)
    until = None if by == plan.NEVER else previous + plan.lease_length(by)
    lease.require_within(name, bundle.templates[name].lease, started_at=now, until=until, now=now)
    extension = Extension(launch="l-case", name=name, digest=asked.digest, previous=previous, until=until)
    return lease.question(
        asked,
        asked.plan,
        extension,
        started_at=now,
        requester=asker.actor,
        on_behalf_of=asked.on_behalf_of,
        reason=asked.reason,
        launch_by=previous,
    )


def _ledger(cost_center: str, month: str, committed: Decimal | None, now: datetime) -> Ledger:
    return opened(cost_center, month, now).changed(spent=committed or Decimal(0))


def _principal(bundle: Bundle, case: Case) -> SignedIn:
    if case.person is not None:
        actor = _named(bundle, case.person)[0].actor
    else:
        actor = Actor(case.issuer or "", case.subject or "")
    return SignedIn(actor, bundle.groups_claimed(actor.issuer, case.claims), policy=bundle)
