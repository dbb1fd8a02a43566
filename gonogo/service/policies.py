"""The policy's bundles: publish one, ask for one, read the one in force or the one that judged a launch.

The first bundle is published by whoever deploys. From then on a change of policy is a launch like any other, of
engine `policy`, behind the gate `policy` of the bundle in force.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from gonogo import ports
from gonogo.core import canonical, policy, published
from gonogo.core.bundle import POLICY_GATE, Bundle
from gonogo.core.bundle_lines import TomlFile
from gonogo.core.bundle_rules import PEOPLE
from gonogo.core.errors import (
    BundleRefusedError,
    Fault,
    InvalidError,
    ItemExistsError,
    PolicyMissingError,
    RefusedError,
)
from gonogo.core.event import Price
from gonogo.core.launch import Launch
from gonogo.core.plan import POLICY_ENGINE, Plan, Question
from gonogo.core.published import CURRENT, CurrentPolicy, StoredBundle
from gonogo.ports import Files, Items, Outside
from gonogo.service import saving, submit
from gonogo.service.identity import SignedIn
from gonogo.service.submit import Prepared
from gonogo.service.unnamed import Unnamed

ENDS_AT_ONCE = "1s"
"""The lease of a change of policy, which ends with its start."""
KEPT = 16
"""How many bundles a process keeps ready; more than ever wait at a time."""


class Policies:
    """`ports.Policies` over the table. A bundle never changes, so it is read and checked once a process."""

    def __init__(self, items: Items, trusts: Callable[[str], bool]) -> None:
        """Take the table, and which issuers the people of a bundle may have."""
        self._items = items
        self._trusts = trusts
        self._ready: dict[str, Bundle] = {}

    def current(self) -> Bundle:
        """Return the bundle that is in force now."""
        now = self._items.get(CurrentPolicy, CURRENT)
        if now is None:
            raise PolicyMissingError
        return self.pinned(now.bundle)

    def check(self, files: Mapping[str, str]) -> Bundle:
        """Return the bundle of these files, which is not put in force."""
        return accept(files, self._trusts)

    def pinned(self, digest: str) -> Bundle:
        """Return the bundle of this digest."""
        ready = self._ready.get(digest)
        if ready is None:
            stored = self._items.get(StoredBundle, digest)
            if stored is None:
                raise PolicyMissingError(f"The policy bundle {digest} is missing, so nothing is permitted.")
            try:
                ready = accept(stored.files, self._trusts)
            except BundleRefusedError as error:
                raise PolicyMissingError(f"The policy bundle {digest} is refused: {error}") from error
            if len(self._ready) >= KEPT:
                self._ready.pop(next(iter(self._ready)))
            self._ready[digest] = ready
        return ready


def accept(files: Mapping[str, str], trusts: Callable[[str], bool]) -> Bundle:
    """Return the checked bundle.

    Raises:
        BundleRefusedError: it breaks rules, or has people of an issuer that is not trusted here.
    """
    bundle = policy.accept(files)
    file = TomlFile(PEOPLE, files[PEOPLE])
    strange: dict[str, Fault] = {}
    for index, actor in enumerate(bundle.people):
        if not trusts(actor.issuer):
            detail = f"the issuer {actor.issuer!r} is not trusted here"
            strange.setdefault(actor.issuer, Fault(file.at("people", index, "issuer"), "issuer", detail))
    if strange:
        raise BundleRefusedError(*strange.values())
    return bundle


def publish(items: Items, files: Mapping[str, str], trusts: Callable[[str], bool], now: datetime) -> Bundle:
    """Store a bundle under its digest and put it in force; doing it again changes nothing.

    Raises:
        BundleRefusedError: it breaks rules; what is in force stays in force.
    """
    bundle = accept(files, trusts)
    with contextlib.suppress(ItemExistsError):
        items.add(published.stored(files, now))
    before = items.get(CurrentPolicy, CURRENT)
    if before is None:
        try:
            items.add(published.in_force(None, bundle.digest, now))
        except ItemExistsError:
            before = items.get(CurrentPolicy, CURRENT)
    if before is not None:
        saving.change(items, before, lambda policy: published.in_force(policy, bundle.digest, now))
    return bundle


def propose(
    outside: Outside, asker: SignedIn, files: Mapping[str, str], reason: str, key: str | None
) -> Launch:
    """Ask for another policy: store it under its digest, and launch it once its gate is GO.

    Raises:
        BundleRefusedError: it breaks rules.
        InvalidError: it is in force already.
        NotPermittedError: the asker may not ask for a change, or the policy in force lets nobody approve one.
        KeyReusedError: the Idempotency-Key was used with something else.
    """
    bundle, before = outside.policies.check(files), asker.policy
    if bundle.digest == before.digest:
        raise InvalidError(Fault("/files", "unchanged", "are the policy in force already"))
    question = _change(asker, bundle, reason)
    asked = canonical.digest({"bundle": bundle.digest, "reason": reason})

    def ready() -> Prepared:
        found = submit.judged(before, asker, question)
        with contextlib.suppress(ItemExistsError):
            outside.items.add(published.stored(files, outside.now()))
        return found

    return submit.once(outside, asker, asked, key, ready)


def _change(asker: SignedIn, bundle: Bundle, reason: str) -> Question:
    before = asker.policy
    changed = sorted(
        name for name in {*before.files, *bundle.files} if before.files.get(name) != bundle.files.get(name)
    )
    prices = before.prices
    nothing = Decimal(0)
    return Question(
        name=None,
        reason=reason,
        cost_center=POLICY_GATE,
        requester=asker.actor,
        on_behalf_of=None,
        lease=ENDS_AT_ONCE,
        plan=Plan(
            template=POLICY_GATE,
            engine=POLICY_ENGINE,
            region="",
            parameters={},
            spec={"bundle": bundle.digest, "previous": before.digest, "files": changed},
            units=(),
        ),
        price=Price(
            currency=prices.currency,
            version=prices.version,
            hourly=nothing,
            monthly=nothing,
            worst_case=nothing,
        ),
    )


def difference(outside: Outside, question: Question) -> dict[str, str]:
    """Return what a change of policy changes: for each file its unified diff, by the stored bundles.

    Raises:
        PolicyMissingError: one of the bundles is missing.
    """
    spec = question.plan.spec
    old = outside.policies.pinned(str(spec["previous"])).files
    new = outside.policies.pinned(str(spec["bundle"])).files
    return {
        name: "\n".join(
            difflib.unified_diff(
                _lines(old.get(name, "")),
                _lines(new.get(name, "")),
                "in force",
                "asked for",
                lineterm="",
            )
        )
        for name in spec["files"]
    }


def _lines(text: str) -> list[str]:
    """Return the lines as Cedar and TOML have them: Python's own `splitlines` ends lines in their middle."""
    return text.removesuffix("\n").split("\n") if text else []


class PolicyEngine(Unnamed):
    """`ports.Engine` of policy bundles: to launch one is to put it in force.

    It takes the place of just the bundle that it was compared with.
    """

    def __init__(self, items: Items, policies: ports.Policies, now: Callable[[], datetime]) -> None:
        """Take the table, and what checks a bundle."""
        self._items = items
        self._policies = policies
        self._now = now

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Put the plan's bundle in force; nothing is made that could be stopped.

        The token stands, hashed, in the event of it: what was done is not done again, though it was undone since.
        """
        del tags, files
        digest, previous = str(plan.spec["bundle"]), str(plan.spec["previous"])
        change = canonical.name("c", token)
        try:
            self._policies.pinned(digest)
        except PolicyMissingError as error:
            raise RefusedError("BundleRefused", str(error)) from error
        before = self._items.get(CurrentPolicy, CURRENT)
        if before is None:
            raise RefusedError("PolicyMissing", "There is no policy in force that could be changed.")

        def command(this: CurrentPolicy) -> CurrentPolicy:
            if this.bundle == digest or any(one.data.get("change") == change for one in this.history):
                return this
            if this.bundle != previous:
                raise RefusedError(
                    "PolicyMoved", "Another policy came into force since; compare with that, and ask again."
                )
            return published.in_force(this, digest, self._now(), change)

        saving.change(self._items, before, command)
        return ()

    def stop(self, plan: Plan, resources: Sequence[str]) -> None:
        """Refuse: a policy is changed by another."""
        del plan, resources
        raise RefusedError("NotAResource", "A policy is changed by another policy.")

    start = terminate = stop
