"""The same outside over the real adapters on moto in process: table, stream, bus, EC2, mail and keys are AWS's."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from local.aws import ACCOUNT, REGION, client, pretend

pretend()

import moto  # noqa: E402 - after the environment that it reads at import
from moto.dynamodb.models import dynamodb_backends  # noqa: E402
from moto.ec2.models import ec2_backends  # noqa: E402
from moto.ses.models import ses_backends  # noqa: E402
from moto.sqs.models import sqs_backends  # noqa: E402

from gonogo import ports  # noqa: E402
from gonogo.aws.table import _item  # noqa: E402
from gonogo.bootstrap import Gonogo, Settings  # noqa: E402
from gonogo.core.event import Event  # noqa: E402
from gonogo.core.item import Item  # noqa: E402
from gonogo.core.launch import InstanceState  # noqa: E402
from gonogo.core.plan import Plan  # noqa: E402
from gonogo.service import policies  # noqa: E402
from local import moto_faithful, template  # noqa: E402
from local.stack import Stack  # noqa: E402
from tests import memory  # noqa: E402
from tests.functions.quick import quick  # noqa: E402
from tests.simulation.outside import Chance, Port  # noqa: E402

T = TypeVar("T", bound=Item)
TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
PARAMETERS = {
    "Anchors": "on",
    "PublicUrl": "https://gonogo.example.com/",
    "MailFrom": "gonogo@example.com",
    "OidcIssuer": "https://issuer.example.com",
    "OidcAudience": "gonogo",
    "OidcJwksUri": "https://issuer.example.com/jwks.json",
}
MINE = "simulation"
"""The stranger's own queue on the bus, in which the world hears what is published."""
_STATES: Mapping[str, InstanceState] = {
    "pending": "pending",
    "running": "running",
    "stopped": "stopped",
    "terminated": "terminated",
}


class Table:
    """What stands in DynamoDB, by what its stream told: nothing is read, so nothing can go wrong by looking."""

    def __init__(self, name: str) -> None:
        self.records: list[dict[str, Any]] = []
        self.wrote: Callable[[dict[str, Any]], None] = lambda _record: None
        self._table = dynamodb_backends[ACCOUNT][REGION].tables[name]
        self._images: dict[tuple[str, str], dict[str, Any]] = {}
        self._decoded: dict[tuple[type[Item], str], Item] = {}

    def poll(self) -> None:
        """Take in what the stream has that is new."""
        shard = self._table.stream_shard
        assert shard is not None
        for one in shard.items[len(self.records) :]:
            record = {**one.record, "dynamodb": {**one.record["dynamodb"]}}
            record["dynamodb"].pop("ApproximateCreationDateTime")
            number = str(len(self.records) + 1)
            record["dynamodb"]["SequenceNumber"] = number
            self.records.append(record)
            keys = record["dynamodb"]["Keys"]
            key = keys["pk"]["S"], keys["sk"]["S"]
            self._images[key] = record["dynamodb"]["NewImage"]
            kind, _, id_ = key[0].partition("#")
            self._decoded = {
                known: item
                for known, item in self._decoded.items()
                if (known[0].kind, known[1]) != (kind, id_)
            }
            self.wrote(record)

    def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002 - as ports.Items has it
        """Return an item as it is now."""
        image = self._images.get((f"{kind.kind}#{id}", kind.kind))
        if image is None:
            return None
        if (kind, id) not in self._decoded:
            self._decoded[kind, id] = _item(kind, image)
        return cast("T", self._decoded[kind, id])

    def all(self, kind: type[T]) -> list[T]:
        """Return every item of a kind."""
        ids = [pk.partition("#")[2] for pk, sk in self._images if sk == kind.kind]
        return [one for id_ in ids if (one := self.get(kind, id_)) is not None]

    def put_aside(self, kind: type[Item], id: str) -> list[Event]:  # noqa: A002
        """Return the events that were put aside, oldest first."""
        from gonogo.aws.table import Table as Real

        return Real(self._table.name, REGION, 1).put_aside(kind, id)

    def alarms(self) -> dict[tuple[str, str], datetime]:
        """Return the alarm of every item that has one."""
        return {
            (sk, pk.partition("#")[2]): datetime.fromisoformat(image["due_at"]["S"])
            for (pk, sk), image in self._images.items()
            if "due_at" in image
        }


class Cloud:
    """EC2 of moto: when each machine ran is kept as it is seen after every call."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.machines: dict[str, memory.Machine] = {}
        self.ran: dict[str, list[list[datetime | None]]] = {}
        self.heard: Callable[[memory.Machine], None] = lambda _machine: None
        self.begun: Callable[[Plan, Mapping[str, str], Sequence[memory.Machine]], None] = lambda *_made: None
        self.refusal: Exception | None = None
        self.full: set[tuple[str | None, str]] = set()
        self.asked: tuple[Plan, Mapping[str, str]] | None = None
        self._now = now

    def poll(self) -> None:
        """See what has changed."""
        now = self._now().replace(microsecond=0)
        new: list[memory.Machine] = []
        turned: list[memory.Machine] = []
        for region, backend in list(ec2_backends[ACCOUNT].items()):
            for one in [each for found in list(backend.reservations.values()) for each in found.instances]:
                state = _STATES.get(one._state.name)
                machine = self.machines.get(one.id)
                if machine is None:
                    tags = {tag["key"]: tag["value"] for tag in one.get_tags()}
                    machine = self.machines[one.id] = memory.Machine(
                        id=one.id,
                        image=one.image_id,
                        kind=one.instance_type,
                        region=region,
                        token=one.client_token or "",
                        tags=tags,
                        state="pending",
                    )
                    new.append(machine)
                if state is not None and state != machine.state:
                    machine.state = state
                    turned.append(machine)
        asked, self.asked = self.asked, None
        if new and asked is not None:
            self.begun(*asked, new)
        for machine in turned:
            spans = self.ran.setdefault(machine.id, [])
            if machine.state == "running":
                spans.append([now, None])
                machine.began_at = now
            elif machine.state != "pending":
                machine.changed_at = now
                if spans and spans[-1][1] is None:
                    spans[-1][1] = now
            self.heard(machine)

    def turn(self, instance: str, state: InstanceState) -> None:
        """Turn a machine, as somebody at the console does."""
        ec2, ids = client("ec2", self.machines[instance].region), [instance]
        if state == "running":
            ec2.start_instances(InstanceIds=ids)
        elif state == "stopped":
            ec2.stop_instances(InstanceIds=ids)
        else:
            ec2.terminate_instances(InstanceIds=ids)
        self.poll()

    def strange(self, region: str, tags: Mapping[str, str]) -> memory.Machine:
        """Let somebody else start a machine, with whatever tags."""
        image = client("ssm").get_parameter(
            Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
        )["Parameter"]["Value"]
        said = [{"Key": name, "Value": value} for name, value in tags.items()]
        specifications = [{"ResourceType": "instance", "Tags": said}] if said else []
        answer = client("ec2", region).run_instances(
            ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=specifications
        )
        self.poll()
        return self.machines[answer["Instances"][0]["InstanceId"]]


class _Polled:
    """A part of AWS after each call of which the world looks at what has become of it."""

    def __init__(
        self, inner: Any, after: Callable[[], None], before: Callable[..., None] = lambda *_a: None
    ) -> None:
        self._inner, self._after, self._before = inner, after, before

    def __getattr__(self, operation: str) -> Any:
        inner = getattr(self._inner, operation)

        def call(*arguments: Any, **options: Any) -> Any:
            self._before(operation, arguments, options)
            try:
                return inner(*arguments, **options)
            finally:
                self._after()

        return call


class _Mailbox:
    """The mails that SES took."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.sent_at: list[datetime] = []
        self._now = now

    @property
    def sent(self) -> list[tuple[str, bytes]]:
        """Receiver and message, oldest first."""
        found = ses_backends[ACCOUNT][REGION].sent_messages
        return [(one.destinations[0], one.raw_data.encode()) for one in found]

    def poll(self) -> None:
        """Keep when those that are new went out."""
        new = len(ses_backends[ACCOUNT][REGION].sent_messages) - len(self.sent_at)
        self.sent_at += [self._now()] * new


class _DeadLetters:
    """What lies in the dead letters of `publish`."""

    def __init__(self, url: str) -> None:
        self._name = url.rpartition("/")[2]

    @property
    def letters(self) -> list[dict[str, Any]]:
        """All of them."""
        queue = sqs_backends[ACCOUNT][REGION].queues[self._name]
        return [json.loads(one.body) for one in queue._messages]


class _Heard:
    """The bus as a subscriber hears it."""

    def __init__(self) -> None:
        self.heard: Callable[[dict[str, Any]], None] = lambda _event: None
        self._taken = 0

    def poll(self) -> None:
        """Hand on what has arrived."""
        messages = sqs_backends[ACCOUNT][REGION].queues[MINE]._messages
        new = [json.loads(one.body)["detail"] for one in messages[self._taken :]]
        self._taken += len(new)
        for one in new:
            self.heard(one)


class Outside(Gonogo):
    """`ports.Outside`: Gonogo's own composition, each of its ports by chance."""

    scans = True

    def __init__(self, files: Mapping[str, str], chance: Chance, clock: Callable[[], datetime]) -> None:
        self.chance, self.skew, self._true = chance, timedelta(), clock
        self.stack = Stack(template.read(TEMPLATE), PARAMETERS)
        self.stack.make()
        client("sesv2").create_email_identity(EmailIdentity=PARAMETERS["MailFrom"])
        for name in ("lead", "room"):
            client("ssm").put_parameter(
                Name=f"/gonogo/webhooks/{name}", Value="whsec_bGVhZA==", Type="SecureString"
            )
        settings = Settings.read({**self.stack.environment(), "AWS_REGION": REGION})
        self.posted = memory.Caller()
        super().__init__(
            settings,
            now=lambda: self._true() + self.skew,
            trusts=lambda _issuer: True,
            identity=memory.Identity(),
            caller=self.posted,
        )
        moto_faithful.hooks.now = clock
        self._drawn = 0
        self.table, self.cloud = Table(settings.table), Cloud(clock)
        self.mailed, self.sent_on = _Mailbox(clock), _Heard()
        self.dead = _DeadLetters(settings.publish_dead)
        client("sqs").create_queue(QueueName=MINE)
        client("events").put_rule(
            Name=MINE, EventBusName=settings.bus, EventPattern=json.dumps({"source": ["gonogo"]})
        )
        target = {"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{MINE}"}
        client("events").put_targets(Rule=MINE, EventBusName=settings.bus, Targets=[target])
        self.publish_policy(files)

    def publish_policy(self, files: Mapping[str, str]) -> None:
        """Put a policy in force."""
        rate, self.chance.rate = self.chance.rate, 0.0
        policies.publish(self.items, files, self.trusts, self._true())
        self.chance.rate = rate

    @cached_property
    def items(self) -> ports.Items:
        """The table."""
        real = super().items
        return cast("ports.Items", Port("items", _Polled(real, self.table.poll), self.chance))

    @cached_property
    def bus(self) -> ports.Bus:
        """The event bus."""
        return cast("ports.Bus", Port("bus", _Polled(super().bus, self.sent_on.poll), self.chance))

    @cached_property
    def dead_letters(self) -> ports.DeadLetters:
        """Where poison is put aside."""
        return cast("ports.DeadLetters", Port("dead_letters", super().dead_letters, self.chance))

    @cached_property
    def anchors(self) -> ports.Anchors:
        """Where the hashes of events are put."""
        return cast("ports.Anchors", Port("anchors", super().anchors, self.chance))

    @cached_property
    def mailer(self) -> ports.Mailer:
        """The mail service."""
        return cast("ports.Mailer", Port("mailer", _Polled(super().mailer, self.mailed.poll), self.chance))

    @cached_property
    def macs(self) -> ports.Macs:
        """The keys of approval tokens."""
        return cast("ports.Macs", Port("macs", super().macs, self.chance))

    @cached_property
    def secrets(self) -> ports.Secrets:
        """The signing secrets of webhooks."""
        return cast("ports.Secrets", Port("secrets", super().secrets, self.chance))

    @cached_property
    def caller(self) -> ports.Caller:
        """The way out to webhooks."""
        return cast("ports.Caller", Port("caller", super().caller, self.chance))

    def resolver(self, engine: str) -> ports.Resolver:
        """Return the resolver of an engine."""
        return cast("ports.Resolver", Port("resolver", super().resolver(engine), self.chance))

    def engine(self, engine: str) -> ports.Engine:
        """Return an engine."""

        def asked(operation: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
            if self.cloud.refusal is not None:
                raise self.cloud.refusal
            if operation == "launch":
                self.cloud.asked = arguments[0], options["tags"]

        real = super().engine(engine)
        if engine != "ec2":
            return cast("ports.Engine", Port("engine", real, self.chance))
        return cast("ports.Engine", Port("engine", _Polled(real, self.cloud.poll, asked), self.chance))

    def observer(self, engine: str) -> ports.Observer | None:
        """Return the eyes on what an engine made."""
        found = super().observer(engine)
        return None if found is None else cast("ports.Observer", Port("observer", found, self.chance))

    def random(self, size: int) -> bytes:
        """Return bytes that nobody has drawn before."""
        self._drawn += 1
        return hashlib.sha512(str(self._drawn).encode()).digest()[:size]


@contextlib.contextmanager
def pretended() -> Iterator[None]:
    """Have an AWS of one's own, which is gone afterwards."""
    moto_faithful.install()
    client.cache_clear()
    with quick(), moto.mock_aws():
        yield
    client.cache_clear()
    moto_faithful.hooks.clear()
