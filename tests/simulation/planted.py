"""Bugs to plant, each in a copy of the code: the simulation must find every one. `python -m tests.simulation.planted`.

What no seed finds is not watched by the simulation, and is named at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("app.py", "functions", "gonogo", "infra", "local", "policy", "tests", "pyproject.toml")
SEEDS = 24
"""How many seeds each bug gets, unless told otherwise."""


@dataclass(frozen=True)
class Bug:
    """One bug: in this file, `old` becomes `new`."""

    name: str
    file: str
    old: str
    new: str


BUGS = (
    # -- writes
    Bug(
        "the condition of a write is dropped",
        "tests/memory.py",
        'if row is None or row["version"] != str(before.version).encode():',
        "if row is None:",
    ),
    Bug(
        "a conflict saves what was decided by the old item",
        "gonogo/service/saving.py",
        "            item = found\n",
        "            after = after.changed(version=found.version + 1)\n"
        "            items.save(found, after)\n            return after\n",
    ),
    Bug(
        "the claim is skipped",
        "gonogo/service/launch.py",
        "    claimed = saving.change(outside.items, item, command)",
        "    claimed = command(item)",
    ),
    Bug(
        "gates are not looked at when the launch is claimed",
        "gonogo/service/launch.py",
        "    ready = attempts.reopen(this, lost=_lost(outside, this, current), at=now)",
        "    ready = this",
    ),
    Bug(
        "who lost the right to decide still counts at the launch",
        "gonogo/service/launch.py",
        "        if gone:\n            lost[gate.name]",
        "        if gone and item.version < 0:\n            lost[gate.name]",
    ),
    Bug(
        "policy in force is not asked again at the launch",
        "gonogo/service/launch.py",
        '    if judgement.outcome == "refused":\n        return _Judged(judgement.reason)\n    if pinned',
        "    if pinned",
    ),
    Bug(
        "the policy that judged the launch says alone who decides",
        "gonogo/service/decide.py",
        "    return may if current is pinned else may & _eligible_by(current, this, launch)",
        "    return may",
    ),
    Bug(
        "the policy in force says alone who decides",
        "gonogo/service/decide.py",
        "    return may if current is pinned else may & _eligible_by(current, this, launch)",
        "    return _eligible_by(current, this, launch)",
    ),
    # -- who decides
    Bug(
        "whoever asked may decide",
        "gonogo/core/commands.py",
        "    if actor in launch.barred:\n        raise SelfApprovalError\n"
        "    seat = seat_for(gate, actor, eligible - launch.barred, delegated)",
        "    seat = seat_for(gate, actor, eligible | ({actor} & launch.barred), delegated)",
    ),
    Bug(
        "for whom it is asked counts as anybody",
        "gonogo/core/launch.py",
        "        return self.askers | frozenset(self.owners) | frozenset(self.amended_by)",
        "        return frozenset({self.question.requester}) | frozenset(self.owners)",
    ),
    Bug(
        "whoever owns the service that asks may decide",
        "gonogo/core/policy.py",
        "    return frozenset(Actor.parse(one.owner) for one in found if one is not None and one.owner is not None)",
        "    return frozenset()",
    ),
    Bug(
        "whoever asked may decide in somebody's place",
        "gonogo/core/commands.py",
        "    if actor in launch.barred:\n        raise SelfApprovalError\n",
        "",
    ),
    Bug(
        "a person fills two seats",
        "gonogo/core/gates.py",
        'return len({one.seat for one in self.counting if one.verdict == "approve"})',
        'return len([one for one in self.decisions if one.verdict == "approve"])',
    ),
    Bug(
        "everybody stands in for everybody",
        "gonogo/service/decide.py",
        "frozenset(one.actor for one in whose if one.to == actor)",
        "frozenset(may)",
    ),
    Bug(
        "a delegation that was withdrawn still holds",
        "gonogo/service/decide.py",
        "if one.holds(now) and",
        "if",
    ),
    Bug(
        "a decision on another digest is taken",
        "gonogo/core/commands.py",
        "    if digest != launch.digest:\n        raise StaleDigestError\n    decision",
        "    decision",
    ),
    Bug(
        "what was decided before an amendment counts for it",
        "gonogo/core/commands.py",
        "        gates=tuple(msgspec.structs.replace(gate, round=last) for gate in gates),",
        "        gates=tuple(gate if gate.name not in {one.name for one in launch.gates} else"
        " launch.gate(gate.name) for gate in gates),",
    ),
    Bug(
        "one no does not reject",
        "gonogo/core/gates.py",
        "        if self.rejections >= self.reject_quorum:",
        "        if self.rejections > self.reject_quorum:",
    ),
    Bug(
        "one yes is enough",
        "gonogo/core/gates.py",
        "        if self.approvals >= self.quorum:\n            return",
        "        if self.approvals:\n            return",
    ),
    Bug(
        "a revoked decision still counts",
        "gonogo/core/commands.py",
        '    changed = this.voided(frozenset({before.actor}), REVOKED).short_of_quorum("a decision was taken back")',
        "    changed = this",
    ),
    Bug(
        "a decision stands for ever",
        "gonogo/core/gates.py",
        "        return None if self.valid_for is None else decision.at + duration.parse(self.valid_for)",
        "        return None",
    ),
    Bug(
        "a timer goes at once",
        "gonogo/core/course.py",
        "gate.goes_at is None or at < gate.goes_at:",
        "gate.goes_at is None:",
    ),
    Bug(
        "the second stage does not wait for the first",
        "gonogo/core/course.py",
        "    if stage_to_open(launch.gates) is None:",
        "    if any(gate.says_go for gate in launch.gates):",
    ),
    # -- codes
    Bug(
        "a padded code is taken",
        "gonogo/core/token.py",
        'not re.fullmatch(PREFIX + "[A-Za-z0-9_-]+", text, re.ASCII):\n        raise TokenInvalidError\n    body = text',
        'not re.match(PREFIX, text):\n        raise TokenInvalidError\n    text = text.rstrip("=")\n    body = text',
    ),
    Bug(
        "blanks about a code are taken away",
        "gonogo/core/token.py",
        "    if len(text) > LONGEST or",
        "    text = text.strip()\n    if len(text) > LONGEST or",
    ),
    Bug(
        "no MAC is verified",
        "gonogo/service/decide.py",
        "    if not outside.macs.verify(claim.keys, payload, mac):\n        raise TokenInvalidError\n",
        "",
    ),
    Bug(
        "a code counts where a login is asked for",
        "gonogo/service/notify.py",
        "    if gate is None or gate.login or gate.expires_at is None:",
        "    if gate is None or gate.expires_at is None:",
    ),
    Bug(
        "a code goes to a webhook that is not private",
        "gonogo/service/notify.py",
        'whom.webhook is None or (gate.kind != "hook" and not whom.webhook.private)',
        "whom.webhook is None",
    ),
    Bug(
        "codes of webhooks are made with the people's key",
        "gonogo/service/notify.py",
        '        keys = "hook"\n',
        "",
    ),
    Bug(
        "whoever is mailed gets the code of the first approver",
        "gonogo/service/notify.py",
        "            actor=delivery.actor,\n            digest=launch.digest,",
        "            actor=gate.approvers[0],\n            digest=launch.digest,",
    ),
    # -- once, and exactly as approved
    Bug(
        "each try has a client token of its own",
        "gonogo/service/launch.py",
        "            token=item.client_token(),",
        "            token=outside.random(26).hex(),",
    ),
    Bug(
        "an unknown answer of the engine is read as failure",
        "gonogo/service/launch.py",
        "    except RefusedError as error:\n        code, message, full = error.code, error.message,"
        " isinstance(error, FullError)",
        "    except (RefusedError, LaterError) as error:\n        code, message, full ="
        ' getattr(error, "code", "?"), str(error), isinstance(error, FullError)',
    ),
    Bug(
        "what was made in part is left",
        "gonogo/service/launch.py",
        "    _terminated(outside, item.plan, item.undo.resources, refused_at)\n",
        "    del refused_at\n",
    ),
    Bug(
        "what another launcher made is left",
        "gonogo/service/launch.py",
        "    if not left:\n        return recorded\n",
        "    return recorded\n",
    ),
    Bug(
        "a retry keeps its attempt",
        "gonogo/core/attempts.py",
        "attempt=launch.attempt + 1, choice=1",
        "choice=1",
    ),
    Bug(
        "the cue is trusted for the state too",
        "gonogo/service/launch.py",
        "    if item.state is State.PENDING:\n",
        "    if item.state is State.PENDING_APPROVAL:\n        item = item.changed(state=State.PENDING)\n"
        "    if item.state is State.PENDING:\n",
    ),
    Bug(
        "an Idempotency-Key is everybody's",
        "gonogo/service/submit.py",
        "    if launch.request_digest != asked:\n        raise KeyReusedError\n",
        "",
    ),
    Bug(
        "an Idempotency-Key is nobody's",
        "gonogo/service/submit.py",
        '    seed = ("key", asker.actor.issuer, asker.actor.subject, key) if key is not None else None',
        "    seed = None",
    ),
    Bug(
        "a cancelled launch may be launched",
        "gonogo/core/commands.py",
        "    launch.require(Command.CANCEL)\n    launch = course.end(launch, State.CANCELLED, at)\n",
        "    launch.require(Command.CANCEL)\n",
    ),
    Bug(
        "anybody may cancel",
        "gonogo/service/change.py",
        '    if actor.actor not in launch.askers:\n        raise NotPermittedError("Only who asked for this launch'
        ' may cancel it.")\n',
        "",
    ),
    Bug(
        "anybody may stop it",
        "gonogo/service/change.py",
        "    if actor.actor not in launch.askers and not policy.may_launch_directly(\n"
        "        actor.policy, actor, launch.question\n    ):",
        "    if not actor.actor:",
    ),
    Bug(
        "anybody may report",
        "gonogo/service/report.py",
        "    _require_reporter(launch, actor)\n",
        "",
    ),
    Bug(
        "the glass is broken again before the last time is reviewed",
        "gonogo/core/glass.py",
        "    if not is_reviewed(last):\n        raise UnreviewedError(before.launch)\n",
        "",
    ),
    Bug(
        "a changed policy is put in force as soon as it is asked for",
        "gonogo/service/policies.py",
        "            outside.items.add(published.stored(files, outside.now()))\n        return found",
        "            outside.items.add(published.stored(files, outside.now()))\n"
        "        publish(outside.items, files, lambda _issuer: True, outside.now())\n        return found",
    ),
    Bug(
        "any lease is extended at once",
        "gonogo/service/extend.py",
        '        if judgement.outcome != "direct":\n            return None\n',
        "",
    ),
    Bug(
        "anybody extends a lease",
        "gonogo/service/extend.py",
        "    if actor.actor not in target.askers and not policy.may_launch_directly(\n"
        "        actor.policy, actor, target.question\n    ):",
        "    if not actor.actor:",
    ),
    # -- nothing is lost
    Bug(
        "a cue comes once",
        "gonogo/service/publish.py",
        "    again = after.cue if before is not None and after.cue_times > before.cue_times else ()",
        "    again: tuple[int, ...] = ()",
    ),
    Bug(
        "a cue sets no alarm",
        "gonogo/core/item.py",
        "cue=seqs, cue_times=0, due_at=at + CUE_FIRST)",
        "cue=seqs, cue_times=0)",
    ),
    Bug(
        "an error in publishing is swallowed",
        "gonogo/service/publish.py",
        "        except LaterError:\n            return batch[0][0]",
        "        except LaterError:\n            continue",
    ),
    Bug(
        "only the newest event is published",
        "gonogo/service/publish.py",
        "    return [one for one in after.history if one.seq > known or one.seq in again]",
        "    return [one for one in after.history[-1:] if one.seq > known or one.seq in again]",
    ),
    Bug(
        "a batch with poison in it is dropped",
        "gonogo/service/publish.py",
        "    unread = {change.number: change.item for change in changes if change.after is None}\n",
        "    unread = {change.number: change.item for change in changes if change.after is None}\n"
        "    out = [] if unread else out\n",
    ),
    Bug(
        "the stream goes on behind what failed",
        "gonogo/service/publish.py",
        "            return batch[0][0]",
        "            return batch[-1][0]",
    ),
    Bug(
        "a message that fails is taken for done",
        "functions/messages.py",
        '            failed.append({"itemIdentifier": record["messageId"]})',
        "            pass",
    ),
    Bug(
        "a mail counts as sent before it is",
        "gonogo/service/notify.py",
        "        telling.send(_notice(outside, telling, delivery))\n",
        "        delivery = saving.change(outside.items, delivery, lambda this:"
        " deliveries.sent(this, channel, outside.now()))\n"
        "        telling.send(_notice(outside, telling, delivery))\n",
    ),
    Bug(
        "a mail that failed is not tried again",
        "gonogo/core/delivery.py",
        "    if later is None or sending.tries > len(RETRIES):",
        "    if later is None or sending.tries:",
    ),
    Bug(
        "a notice has no alarm",
        "gonogo/core/delivery.py",
        "        due_at=at + CLAIM if channels else None,",
        "        due_at=None,",
    ),
    Bug(
        "nobody is told that it failed",
        "gonogo/service/notify.py",
        '    events.LaunchFailed.type: "failed",\n',
        "",
    ),
    Bug(
        "only the first approver is asked",
        "gonogo/service/notify.py",
        "        for actor in telling.undecided(outside, gate):\n            if only in (None, actor):",
        "        for actor in sorted(telling.undecided(outside, gate))[:1]:\n            if only in (None, actor):",
    ),
    Bug(
        "leases do not end",
        "gonogo/core/clock.py",
        "        and at >= launch.lease_ends_at\n",
        "        and at < launch.at\n",
    ),
    Bug(
        "gates do not expire",
        "gonogo/core/clock.py",
        "        if now.expires_at is not None and at >= now.expires_at:",
        "        if now.expires_at is not None and at < launch.at:",
    ),
    Bug(
        "one item that cannot be woken strands the others",
        "gonogo/service/wake.py",
        "            errors.append(error)\n",
        "            errors.append(error)\n            break\n",
    ),
    # -- the ledger
    Bug(
        "a lost event of EC2 is not made up for",
        "gonogo/service/watch.py",
        "    if not _agrees(instance, seen):",
        "    if instance.state == 'never' and not _agrees(instance, seen):",
    ),
    Bug(
        "an instance that is told of twice is billed twice",
        "gonogo/service/observe.py",
        '        if instance.state == "pending" or one.at >= instance.changed_at:',
        "        if True:",
    ),
    Bug(
        "what is not ours is billed",
        "gonogo/service/observe.py",
        "    there = watches.id_of(launch.question.plan.place) == watches.id_of(place)\n"
        "    if there and launch.state is State.LAUNCHING and launch.made_with(seen.client_token):\n"
        "        return launch\n    return None",
        "    return launch",
    ),
    Bug(
        "strays are not told of",
        "gonogo/service/watch.py",
        "        if why is not None:\n            strays.append((seen, why))",
        "        del why",
    ),
    Bug(
        "a budget is not held before the launch",
        "gonogo/service/launch.py",
        "            budgets.hold(outside, item, ledgers, now)\n            return judged",
        "            return judged",
    ),
    Bug(
        "a budget is let go while it runs",
        "gonogo/service/launch.py",
        "    if recorded.state not in budgets.HOLDING:\n        budgets.release(outside, recorded)\n    return recorded",
        "    budgets.release(outside, recorded.changed(holds=True))\n    return recorded",
    ),
    Bug(
        "a budget is never let go",
        "gonogo/core/budget.py",
        "    held = {id_: amount for id_, amount in ledger.held.items() if id_ != launch}",
        "    held = dict(ledger.held)",
    ),
    Bug(
        "a budget that is used up asks for no gate",
        "gonogo/core/budget.py",
        "        return self.estimate > self.remaining",
        "        return False",
    ),
    Bug(
        "what a launch spent is counted twice",
        "gonogo/core/budget.py",
        "spent=ledger.spent + spent)",
        "spent=ledger.spent + spent + spent)",
    ),
    # -- the record
    Bug(
        "the chain is broken at the second event of a write",
        "gonogo/core/item.py",
        "            head = events.hash_of(self.id, new[-1])\n",
        "",
    ),
    Bug(
        "a code stands in an event",
        "gonogo/service/publish.py",
        "                (change.number, cloud_event(change.after.id, one))",
        '                (change.number, {**cloud_event(change.after.id, one), "link": "gng_AAAAAAAAAAAAAAAAAAAAAAAA"})',
    ),
    Bug(
        "an event is published as of the launch now",
        "gonogo/service/publish.py",
        "                (change.number, cloud_event(change.after.id, one))",
        '                (change.number, {**cloud_event(change.after.id, one), "time": "2026-11-23T09:00:00Z"})',
    ),
)


RUN = """
import logging, sys
logging.disable(logging.CRITICAL)
from tests.simulation.test_simulation import run
tried = found = 0
first = why = ""
for seed in range(int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])):
    tried += 1
    try:
        run(seed)
    except Exception as error:
        found += 1
        if not first:
            first, why = str(seed), str(error).splitlines()[0][:110]
        if found == 2:
            break
print(f"{found} of {tried}; seed {first or '-'}: {why}")
"""


def copied(folder: Path) -> Path:
    """Return a copy of the code, which bugs may be planted in."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def tried(bug: Bug, folder: Path, seeds: int) -> str:
    """Plant a bug in a copy, run worlds until two have found it, take it out again, and return what came of it."""
    path = folder / bug.file
    before = path.read_text()
    if before.count(bug.old) != 1:
        return "0 of 0; it can no longer be planted: the code has changed"
    path.write_text(before.replace(bug.old, bug.new))
    first = os.environ.get("GONOGO_FIRST_SEED", "1")
    environment = {"GONOGO_WORLD_STEPS": "400", **os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-c", RUN, first, str(seeds)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        return (
            done.stdout.strip() or f"1 of 1; it does not start: {done.stderr.strip().splitlines()[-1][:100]}"
        )
    except subprocess.TimeoutExpired:
        return "1 of 1; it does not come to an end"
    finally:
        path.write_text(before)


def main(seeds: int, only: str) -> int:
    """Plant every bug whose name has `only` in it, print what found it, and return how many nothing found."""
    missed = []
    with tempfile.TemporaryDirectory() as name:
        folder = copied(Path(name))
        for bug in BUGS:
            if only in bug.name:
                result = tried(bug, folder, seeds)
                sys.stdout.write(f"{bug.name:75} {result}\n")
                sys.stdout.flush()
                missed += [bug.name] if result.startswith("0 ") else []
    sys.stdout.write("\n  ".join((f"{len(missed)} not found", *missed)) + "\n")
    return len(missed)


if __name__ == "__main__":
    arguments = [*sys.argv[1:], "", ""]
    sys.exit(min(main(int(arguments[0] or SEEDS), arguments[1]), 1))
