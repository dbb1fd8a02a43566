"""The road of a launch: the use cases, and between them a stream, a bus, queues and a clock that only a test moves.

Which events go to which queue, how long a queue hides a message and how often it tries, is read from
infra/template.yaml.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.delegation import Delegation
from gonogo.core.errors import BusyError, GonogoError, LaterError
from gonogo.core.event import Event
from gonogo.core.item import Item
from gonogo.core.launch import Launch
from gonogo.core.plan import LaunchRequest
from gonogo.core.states import State
from gonogo.service import (
    amend,
    change,
    decide,
    delegate,
    extend,
    identity,
    notify,
    observe,
    policies,
    publish,
    report,
    submit,
    wake,
)
from gonogo.service import launch as launcher
from gonogo.service.amend import Changes
from gonogo.service.decide import Verdict
from gonogo.service.identity import SignedIn
from gonogo.service.notify import Cue, Notice
from gonogo.service.report import Outcome, Report
from local import template
from tests import memory
from tests.service.faults import Crash, Fault, Faults, Outside, Wrong

T = TypeVar("T")
TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
BATCH = 100
CLIENT_TRIES = 10
OWN_ACCOUNT = "123456789012"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody got, by mail or by webhook."""

    id: str
    to: str
    channel: str
    topic: str
    launch: str
    gate: str | None
    seq: int | None
    code: str | None
    link: str


class Message(msgspec.Struct, kw_only=True):
    """One message in a queue."""

    body: Any
    visible_at: datetime
    tries: int = 0


class Queue(msgspec.Struct, kw_only=True):
    """One queue, as the template has it."""

    name: str
    types: frozenset[str]
    hides: timedelta
    most: int
    messages: list[Message] = []
    dead: list[Message] = []
    held: bool = False


@cache
def _resources() -> Any:
    return template.read(TEMPLATE)["Resources"]


def _queue(name: str) -> Queue:
    rule, queue = _resources()[f"{name}Rule"]["Properties"], _resources()[f"{name}Queue"]["Properties"]
    return Queue(
        name=name.lower(),
        types=frozenset(rule["EventPattern"]["detail-type"]),
        hides=timedelta(seconds=queue["VisibilityTimeout"]),
        most=queue["RedrivePolicy"]["maxReceiveCount"],
    )


class Road:
    """Everything that a test may do, and see."""

    def __init__(self, files: Mapping[str, str], *faults: Fault) -> None:
        self.faults = Faults(*faults)
        self.outside = Outside(files, self.faults)
        self.clock = self.outside.clock
        self.table = self.outside.table
        self.cloud = self.outside.cloud
        self.queues = {queue.name: queue for queue in map(_queue, ("Notify", "Deliver", "Launch", "Observe"))}
        self.surprises: list[BaseException] = []
        self.handlers: dict[str, Callable[[Any], None]] = {
            "notify": lambda event: notify.tell(self.outside, _cue(event), "mail", self._mail),
            "deliver": lambda event: notify.tell(self.outside, _cue(event), "webhook", self._post),
            "launch": lambda event: launcher.launch(self.outside, _cue(event).subject),
            "observe": self._observe,
        }
        self._read = 0
        self._late: list[Callable[[], object]] = []
        self.outside.sent_on.heard = self._heard
        self.cloud.heard = self._happened
        self.faults.listening = True

    # -- what people do ---------------------------------------------------------------------------------------

    def sign_in(self, who: str) -> SignedIn:
        """Sign in."""
        return identity.sign_in(self.outside, f"Bearer {who}")

    def submit(
        self, who: str = "dev", name: str = "web-small", *, key: str | None = "k", **more: Any
    ) -> Launch:
        """Ask for a launch."""
        fields: dict[str, Any] = {
            "parameters": {},
            "reason": "A page for the fair.",
            "cost_center": "4711",
            **more,
        }
        request = LaunchRequest(template=name, **fields)
        return self.api("submit", lambda: submit.submit(self.outside, self.sign_in(who), request, key))

    def follow(self, code: str, verdict: Verdict = "approve") -> Launch:
        """Decide by the code that one was sent."""
        return self.api(
            "decide by token",
            lambda: decide.by_token(self.outside, code, verdict=verdict, digest=None, comment=None),
        )

    def decide(self, who: str, launch: Launch, gate: str, verdict: Verdict = "approve") -> Launch:
        """Decide, signed in."""
        return self.api(
            "decide",
            lambda: decide.decide(
                self.outside,
                self.sign_in(who),
                launch.id,
                gate=gate,
                verdict=verdict,
                digest=launch.digest,
                comment=None,
            ),
        )

    def change(self, who: str, launch: Launch, wanted: str) -> Launch:
        """Cancel, retry, stop, start or terminate."""

        def call() -> Launch:
            actor = self.sign_in(who)
            if wanted == "cancel":
                return change.cancel(self.outside, actor, launch.id)
            if wanted == "retry":
                return change.retry(self.outside, actor, launch.id)
            return change.change(self.outside, actor, launch.id, wanted)  # type: ignore[arg-type]

        return self.api(wanted, call)

    def extend(self, who: str, launch: Launch, until: datetime | None, reason: str | None = None) -> Launch:
        """Let it run for longer, or ask for that."""
        return self.api(
            "extend",
            lambda: extend.extend(self.outside, self.sign_in(who), launch.id, until=until, reason=reason),
        )

    def report(self, who: str, launch: Launch, outcome: Outcome, **more: Any) -> Launch:
        """Report what became of it outside."""
        said = Report(digest=launch.digest, outcome=outcome, **more)
        return self.api("report", lambda: report.report(self.outside, self.sign_in(who), launch.id, said))

    def amend(self, who: str, launch: Launch, **changes: Any) -> Launch:
        """Ask for something else instead."""
        return self.api(
            "amend", lambda: amend.amend(self.outside, self.sign_in(who), launch.id, Changes(**changes))
        )

    def offer(self, who: str, launch: Launch, gate: str = "lead", **changes: Any) -> str:
        """Say to what less one would say go, and return the offer's digest."""

        def call() -> Launch:
            return amend.offer(
                self.outside,
                self.sign_in(who),
                launch.id,
                gate=gate,
                digest=launch.digest,
                changes=Changes(**changes),
                comment=None,
            )

        return self.api("offer", call).offers[-1].digest

    def accept(self, who: str, launch: Launch, digest: str) -> Launch:
        """Accept what was offered."""
        return self.api("accept", lambda: amend.accept(self.outside, self.sign_in(who), launch.id, digest))

    def note(self, who: str, launch: Launch, gate: str, text: str) -> Launch:
        """Say how far a hook is."""
        return self.api(
            "note", lambda: decide.note(self.outside, self.sign_in(who), launch.id, gate=gate, text=text)
        )

    def delegate(self, who: str, to: str, whom: str | None = None, **span: float) -> Delegation:
        """Let somebody decide in one's place, for so long."""
        until = self.clock() + timedelta(**span)

        def call() -> Delegation:
            by = self.sign_in(who)
            return delegate.delegate(
                self.outside,
                by,
                whom=by.actor if whom is None else Actor(by.actor.issuer, whom),
                to=Actor(by.actor.issuer, to),
                since=None,
                until=until,
            )

        return self.api("delegate", call)

    def propose(self, who: str, files: Mapping[str, str], key: str | None = "k") -> Launch:
        """Ask for another policy."""
        return self.api(
            "propose", lambda: policies.propose(self.outside, self.sign_in(who), files, "It is time.", key)
        )

    def publish_policy(self, files: Mapping[str, str]) -> Bundle:
        """Put a policy in force."""
        return self.api("policy", lambda: self.outside.publish_policy(files))

    def api(self, name: str, call: Callable[[], T]) -> T:
        """Let a client ask; it asks again when it gets no answer, as clients do."""
        again = self.faults.message(f"api {name}")
        answer = self._asked(call)
        if again is Wrong.TWICE:
            answer = self._asked(call)
        elif again is Wrong.LATE:
            self._late.append(call)
        return answer

    # -- what happens by itself -------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything arrive that can arrive now."""
        while self._stream() or sum(self._take(queue) for queue in self.queues.values()):
            pass

    def pass_time(self, end: datetime) -> None:
        """Go on to when something is due, or comes again, but no further than `end`; and wake."""
        comes = [one.visible_at for queue in self.queues.values() if not queue.held for one in queue.messages]
        next_ = min((*comes, *self.table.alarms().values(), end))
        self.clock.time = max(next_, self.clock() + timedelta(minutes=1))
        self._handle("wake", lambda: wake.wake(self.outside))
        self.settle()

    def until(self, done: Callable[[], object], within: timedelta = timedelta(hours=2)) -> None:
        """Let things happen, and time pass, until something is so."""
        end = self.clock() + within
        self.settle()
        while not done():
            assert self.clock() < end, f"stuck at {[one.state for one in self.launches()]}"
            self.pass_time(end)

    def sleep(self, **span: float) -> None:
        """Let so much time pass, and happen what happens."""
        end = self.clock() + timedelta(**span)
        self.settle()
        while self.clock() < end:
            self.pass_time(end)

    def rest(self) -> None:
        """Let all come to its end, late messages too."""
        self.sleep(days=2)
        late, self._late = self._late, []
        for one in late:
            with contextlib.suppress(GonogoError):
                one()
            self.settle()
        self.sleep(days=2)

    # -- what can be seen -------------------------------------------------------------------------------------

    def launches(self) -> list[Launch]:
        """Return all launches."""
        return self.table.all(Launch)

    def now(self, launch: Launch) -> Launch:
        """Return the launch as it is now."""
        found = self.table.get(Launch, launch.id)
        assert found is not None
        return found

    def state(self, launch: Launch) -> State:
        """Return the state it is in."""
        return self.now(launch).state

    def happened(self, item: Item) -> list[Event]:
        """Return all that happened to an item, from the table itself: reading it so can't go wrong."""
        now = self.table.get(type(item), item.id)
        assert now is not None
        first = now.history[0].seq if now.history else 1
        return [*(one for one in self.table.put_aside(type(item), item.id) if one.seq < first), *now.history]

    def history(self, launch: Launch) -> list[str]:
        """Return the names of all that happened to it."""
        return [one.type for one in self.happened(launch)]

    def letters(self, to: str | None = None, topic: str | None = None) -> list[Letter]:
        """Return what was sent, mails first, each oldest first."""
        mails = [msgspec.json.decode(raw, type=Letter) for _, raw in self.outside.mailed.sent]
        posts = [msgspec.convert(post["body"], Letter) for post in self.outside.posted.posts]
        return [one for one in mails + posts if to in (None, one.to) and topic in (None, one.topic)]

    def code(self, to: str, topic: str = "decide", channel: str = "mail") -> str | None:
        """Return the newest code that somebody was sent, None if there is none yet."""
        codes = [one.code for one in self.letters(to, topic) if one.channel == channel and one.code]
        return codes[-1] if codes else None

    def wait_for_code(self, to: str, topic: str = "decide", channel: str = "mail") -> str:
        """Wait until somebody has a code, and return it."""
        self.until(lambda: self.code(to, topic, channel))
        code = self.code(to, topic, channel)
        assert code is not None
        return code

    # -- how it works -----------------------------------------------------------------------------------------

    def _heard(self, event: dict[str, Any]) -> None:
        for queue in self.queues.values():
            if event["type"] in queue.types or (queue.name == "observe" and _is_of_others(event)):
                queue.messages.append(Message(body=event, visible_at=self.clock()))

    def _happened(self, machine: memory.Machine) -> None:
        body = {
            "instance": machine.id,
            "region": machine.region,
            "account": machine.account or OWN_ACCOUNT,
            "state": machine.state,
            "at": self.clock(),
        }
        self.queues["observe"].messages.append(Message(body=body, visible_at=self.clock()))

    def _observe(self, body: Mapping[str, Any]) -> None:
        if "type" in body:
            observe.launched(self.outside, _cue(body).subject)
            return
        observe.observe(
            self.outside,
            body["instance"],
            region=body["region"],
            account=body["account"],
            said=body["state"],
            said_at=body["at"],
        )

    def _stream(self) -> bool:
        """Hand the new changes to `publish`; tell whether that got on."""
        batch = self.table.changes[self._read : self._read + BATCH]
        if not batch:
            return False
        done = 0

        def handle() -> None:
            nonlocal done
            again = publish.publish(self.outside, batch)
            done = len(batch) if again is None else [one.number for one in batch].index(again)

        self._handle("stream", handle)
        self._read += done
        return done > 0

    def _take(self, queue: Queue) -> bool:
        """Hand what is visible in a queue to its function, message by message; tell whether there was any."""
        visible = [] if queue.held else [one for one in queue.messages if one.visible_at <= self.clock()]
        for message in visible:
            handler, body = self.handlers[queue.name], message.body
            about = body.get("type", body.get("state"))
            message.visible_at = self.clock() + queue.hides
            message.tries += 1
            if self._handle(f"{queue.name} {about}", lambda h=handler, b=body: h(b)):  # type: ignore[misc]
                queue.messages.remove(message)
            elif message.tries >= queue.most:
                queue.messages.remove(message)
                queue.dead.append(message)
        return bool(visible)

    def _handle(self, name: str, call: Callable[[], object]) -> bool:
        """Run a function as Lambda does, and tell whether it ended well."""
        again = self.faults.message(name)
        well = self._ran(call)
        if again is Wrong.TWICE:
            self._ran(call)
        elif again is Wrong.LATE:
            self._late.append(lambda: self._ran(call))
        return well

    def _ran(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except (LaterError, BusyError, Crash) as error:
            self.faults.ended_by(error)
            return False
        except ExceptionGroup as several:
            _, surprise = several.split((LaterError, BusyError))
            self.surprises += [surprise] if surprise is not None else []
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told at the end
            self.surprises.append(error)
            return False
        return True

    def _asked(self, call: Callable[[], T]) -> T:
        for _ in range(CLIENT_TRIES):
            try:
                return call()
            except (LaterError, BusyError, Crash) as error:
                self.faults.ended_by(error)
                continue
        raise AssertionError("the client gave up")

    def _mail(self, notice: Notice) -> None:
        assert notice.person.mail is not None
        self.outside.mailer.send(notice.person.mail, json.dumps(_letter(notice, "mail")).encode())

    def _post(self, notice: Notice) -> None:
        webhook = notice.person.webhook
        assert webhook is not None
        self.outside.caller.post(
            webhook.url,
            json.dumps(_letter(notice, "webhook")).encode(),
            message_id=notice.id,
            at=notice.at,
            secrets=self.outside.secrets.read(webhook.secret),
        )


def _is_of_others(event: Mapping[str, Any]) -> bool:
    """Tell whether it is what became of a launch that EC2 tells nothing of."""
    pattern = _resources()["ObserveLaunchesRule"]["Properties"]["EventPattern"]
    (engines,) = pattern["detail"]["data"]["launch"]["engine"]
    return (
        event["type"] in pattern["detail-type"]
        and event["data"]["launch"]["engine"] not in engines["anything-but"]
    )


def _cue(event: Mapping[str, Any]) -> Cue:
    return Cue(type=event["type"], subject=event["subject"], seq=event["seq"])


def _letter(notice: Notice, channel: str) -> dict[str, Any]:
    letter = Letter(
        id=notice.id,
        to=notice.person.actor.subject,
        channel=channel,
        topic=notice.topic,
        launch=notice.launch.id if notice.launch else "",
        gate=notice.gate.name if notice.gate else None,
        seq=notice.happened.seq if notice.happened else None,
        code=notice.code,
        link=notice.link,
    )
    found: dict[str, Any] = msgspec.to_builtins(letter)
    return found
