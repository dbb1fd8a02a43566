"""The whole of gonogo in one process over moto, moved by hand: nothing happens until `settle` is called.

The real app.py, the real infra/template.yaml and the real functions; `local/` plays Lambda's event-source
mappings, one step at a time, so that a test decides when a message arrives, and whether it arrives twice.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from local.aws import ACCOUNT, REGION, client, pretend

pretend()

import moto  # noqa: E402 - after the environment that it reads at import
from chalice.config import Config  # noqa: E402
from chalice.local import ForbiddenError, LocalGateway  # noqa: E402
from moto.ses.models import ses_backends  # noqa: E402

import app as switchboard  # noqa: E402
from gonogo.bootstrap import Gonogo, Settings, install  # noqa: E402
from gonogo.core.actor import Actor  # noqa: E402
from gonogo.service import policies  # noqa: E402
from local import moto_faithful, template  # noqa: E402
from local.ec2 import InstanceWatch  # noqa: E402
from local.guard import Guard  # noqa: E402
from local.pump import Outcome, Pump, QueuePump, StreamPump  # noqa: E402
from local.roles import ROLES, rights  # noqa: E402
from local.server import _one_request_per_thread  # noqa: E402
from local.stack import Stack  # noqa: E402
from local.stacks import ExecutionWatch, StackWatch  # noqa: E402
from tests.functions.quick import quick  # noqa: E402
from tests.recording import Recorder  # noqa: E402

ROOT = Path(__file__).parents[2]
TEMPLATE = template.read(ROOT / "infra" / "template.yaml")
ISSUER = "http://gonogo.local"
PARAMETERS = {
    "PublicUrl": "http://gonogo.test/",
    "MailFrom": "gonogo@example.com",
    "OidcIssuer": "https://issuer.example.com",
    "OidcAudience": "gonogo",
    "OidcJwksUri": "https://issuer.example.com/jwks.json",
}


FUNCTIONS = {"api": "APIHandler"} | {name.lower(): name for name in ROLES if name != "APIHandler"}
"""The functions' logical ids by their names in app.py; "api" is the one behind the routes."""


def example() -> dict[str, str]:
    """Return the files of the example policy."""
    folder = ROOT / "policy"
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


class Clock:
    """A clock that stands until it is told to go."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def ticking(self) -> datetime:
        """Return the time a second after it was last looked at, so that nobody asks too often."""
        self.go(seconds=1)
        return self.time

    def go(self, **span: float) -> None:
        """Go on by so many hours, minutes and so forth."""
        self.time += timedelta(**span)


class Said:
    """What a token says: whoever sends `Bearer NAME` is that person; NAME+group,group brings group claims."""

    def __init__(self, token: str) -> None:
        name, _, groups = token.partition("+")
        self.issuer, self.subject = ISSUER, name
        self.claims: Mapping[str, tuple[str, ...]] = {"groups": tuple(groups.split(","))} if groups else {}


class Identity:
    """`ports.Identity` that believes; tests/contract holds the one that does not."""

    def verify(self, token: str, now: datetime) -> Said:
        """Take the token for the name that it is."""
        del now
        return Said(token)


class Posted:
    """`ports.Caller` that keeps what is posted, or fails as it is told to."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.fail: Exception | None = None

    def post(self, url: str, body: bytes, *, message_id: str, at: datetime, secrets: Any) -> None:
        """Keep a post."""
        if self.fail is not None:
            raise self.fail
        self.posts.append(
            {"url": url, "body": json.loads(body), "id": message_id, "at": at, "secrets": tuple(secrets)}
        )


class Answer:
    """What the API answered."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.code = int(raw["statusCode"])
        self.headers = {name.lower(): value for name, value in dict(raw["headers"]).items()}
        for name, value in dict(raw.get("multiValueHeaders") or {}).items():
            self.headers[name.lower()] = value[0]
        self.written: list[str] = []
        """The calls to AWS that changed something, where somebody has listened for them."""
        body = raw["body"] or ""
        self.text: str = body if isinstance(body, str) else body.decode()

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.text)


class World:
    """Everything that a test may do to gonogo, and see of it; each function may do what its role allows, and no more."""

    def __init__(self, files: Mapping[str, str] | None = None, **parameters: str) -> None:
        self.clock = Clock()
        self.posted = Posted()
        self.parameters = PARAMETERS | parameters
        self.stack = Stack(TEMPLATE, self.parameters)
        self.stack.make()
        client("sesv2").create_email_identity(EmailIdentity=PARAMETERS["MailFrom"])
        environment = {**self.stack.environment(), "AWS_REGION": REGION}
        self.gonogo = Gonogo(
            Settings.read(environment),
            now=self.clock,
            trusts=lambda _issuer: True,
            identity=Identity(),
            caller=self.posted,
        )
        moto_faithful.hooks.now = self.clock
        install(self.gonogo)
        self.recorder = Recorder()
        self.guard = Guard(rights(TEMPLATE, self.parameters, self.stack.look, ()), self.recorder.heard)
        self.publish(files or example())
        self.around: Callable[[str], contextlib.AbstractContextManager[Any]] = lambda name: self.guard.acting(
            FUNCTIONS[name]
        )
        _one_request_per_thread(switchboard.app)
        self._gateway = LocalGateway(switchboard.app, Config())
        self.pumps: list[Pump] = [self._pump(wire) for wire in self.stack.wires()]
        self.pumps += [InstanceWatch(self.clock), StackWatch(), ExecutionWatch()]
        self._rung = {pump.source for pump in self.pumps}
        moto_faithful.hooks.heard = self._rung.add
        self.own_queue = self.subscribe()

    # -- what a platform engineer does

    def publish(self, files: Mapping[str, str]) -> str:
        """Put a policy in force, deploy what its templates need, and return its digest."""
        bundle = policies.publish(self.gonogo.items, files, self.gonogo.trusts, self.clock())
        self.guard.rights = rights(TEMPLATE, self.parameters, self.stack.look, bundle.templates.values())
        return bundle.digest

    def subscribe(self, pattern: Mapping[str, Any] | None = None, name: str = "mine") -> str:
        """Attach a queue to the bus, as a stranger would, and return its URL."""
        url: str = client("sqs").create_queue(QueueName=name)["QueueUrl"]
        bus = self.gonogo.settings.bus
        client("events").put_rule(
            Name=name, EventBusName=bus, EventPattern=json.dumps(pattern or {"source": ["gonogo"]})
        )
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        client("events").put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
        return url

    # -- what people and machines do

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Send a request to the API; `body` goes as JSON, `raw` as it is."""
        sent = {"content-type": "application/json", **({"authorization": f"Bearer {who}"} if who else {})}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        with self.around("api"):
            try:
                answer = self._gateway.handle_request(method, path, sent, data)
            except ForbiddenError as error:
                answer = {"statusCode": 403, "headers": error.headers, "body": error.body}
        return Answer(answer)

    def form(self, path: str, headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        """Post a form, as a browser does."""
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.call("POST", path, headers=sent, raw=urlencode(fields).encode())

    def ask(self, who: str = "dev", template: str = "web-small", **more: Any) -> Any:
        """Submit a launch that is taken, and return it."""
        body = {"template": template, "reason": "a page for the fair", "cost_center": "marketing", **more}
        answer = self.call("POST", "/v1/launches", body, who=who)
        assert answer.code == 201, answer.text
        return answer.json

    def read(self, launch_id: str, who: str = "dev") -> Any:
        """Read a launch."""
        answer = self.call("GET", f"/v1/launches/{launch_id}", who=who)
        assert answer.code == 200, answer.text
        return answer.json

    def decide(self, launch: Any, who: str, gate: str, verdict: str = "approve", **more: Any) -> Answer:
        """Decide, signed in."""
        body = {"gate": gate, "verdict": verdict, "digest": launch["digest"], **more}
        return self.call("POST", f"/v1/launches/{launch['id']}/decisions", body, who=who)

    # -- what happens by itself

    def settle(self, most: int = 500) -> None:
        """Let everything that is under way arrive; what a function wants again comes again later."""
        for _ in range(most):
            busy = [pump for pump in self.pumps if not pump.source or pump.source in self._rung]
            self._rung.difference_update(pump.source for pump in busy)
            outcomes = {pump: pump.step() for pump in busy}
            if all(outcome is Outcome.IDLE for outcome in outcomes.values()) and not self._rung & {
                pump.source for pump in self.pumps
            }:
                return
            self._rung.update(
                pump.source for pump, outcome in outcomes.items() if outcome is not Outcome.IDLE
            )
        raise AssertionError("it does not settle")

    def wake(self) -> None:
        """Let a minute's waking happen."""
        self.invoke("wake", {})

    def invoke(self, function: str, event: Any) -> Any:
        """Call a function as Lambda does."""
        with self.around(function):
            return getattr(switchboard, function)(event, None)

    # -- what can be seen

    def mails(self, to: str | None = None) -> list[EmailMessage]:
        """Return the mails that went out, oldest first."""
        sent = [
            email.message_from_string(message.raw_data, policy=email.policy.default)
            for message in ses_backends[ACCOUNT][REGION].sent_messages
        ]
        return [mail for mail in sent if to is None or f"{to}@example.com" in str(mail["To"])]  # type: ignore[misc]

    def token(self, to: str) -> str:
        """Return the code in the newest mail to somebody that has one."""
        for mail in reversed(self.mails(to)):
            found = re.search(r"gng_[A-Za-z0-9_-]+", mail_text(mail))
            if found:
                return found[0]
        raise AssertionError(f"no mail to {to} has a code")

    def events(self) -> list[dict[str, Any]]:
        """Return the CloudEvents that our own subscriber got since it was last asked."""
        return [json.loads(body)["detail"] for body in self.messages(self.own_queue)]

    def messages(self, url: str) -> Iterator[str]:
        """Take all messages from a queue."""
        while batch := client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                yield message["Body"]

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """Return the instances that EC2 has, in these states or any."""
        found = client("ec2").describe_instances()["Reservations"]
        return [
            one
            for reservation in found
            for one in reservation["Instances"]
            if not states or one["State"]["Name"] in states
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Return every item of the table, for comparing."""
        found: list[dict[str, Any]] = client("dynamodb").scan(TableName=self.gonogo.settings.table)["Items"]
        return sorted(found, key=lambda row: (row["pk"]["S"], row["sk"]["S"]))

    def _pump(self, wire: Any) -> Pump:
        function = wire.function.lower()

        def handler(event: Any) -> Any:
            return self.invoke(function, event)

        return StreamPump(wire, handler) if ":dynamodb:" in wire.source else QueuePump(wire, handler)


def mail_text(mail: EmailMessage) -> str:
    """Return the plain text of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def actor(name: str) -> Actor:
    """Return one of the example people."""
    return Actor(ISSUER, name)


@contextlib.contextmanager
def world(files: Mapping[str, str] | None = None, **parameters: str) -> Iterator[World]:
    """Make a world of its own, by these parameters of the stack besides, and see that no role was too narrow for it."""
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        made = World(files, **parameters)
        with made.guard.watching():
            yield made
        assert made.recorder.refused == []
    client.cache_clear()
