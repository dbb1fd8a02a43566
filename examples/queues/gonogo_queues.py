"""An engine of one's own: `queues` makes SQS queues. docs/engines.md goes through it, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from gonogo.aws.accounts import Clients
from gonogo.aws.clients import call
from gonogo.core.errors import Fault, InvalidError, LaterError, RefusedError
from gonogo.core.plan import Place, Plan, Unit
from gonogo.ports import Files, Seen


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many equal queues. What a template leaves open stands in the plan: it is approved too."""

    count: Annotated[int, Meta(ge=1, le=10)] = 1
    keeps_seconds: Annotated[int, Meta(ge=60, le=1_209_600)] = 345_600
    """How long a message is kept (SQS API reference, CreateQueue, MessageRetentionPeriod)."""


class Queues:
    """`gonogo.ports.Engine`."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients; nothing is called yet."""
        self._clients = clients

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Check the spec and say what has a price: [hourly.queues.REGION] "queue" of prices.toml."""
        del place, files
        try:
            whole = msgspec.convert(dict(spec), Spec)
        except msgspec.ValidationError as error:
            raise InvalidError(Fault("/template", "spec", f"no spec of queues: {error}")) from error
        plain: dict[str, Any] = msgspec.to_builtins(whole)
        return plain, (Unit("queue", whole.count),)

    def launch(self, plan: Plan, *, token: str, tags: Mapping[str, str], files: Files) -> tuple[str, ...]:
        """Make the queues. CreateQueue gives the queue that is there already, if its attributes are the same."""
        del files
        spec = msgspec.convert(plan.spec, Spec)
        return tuple(self._made(plan.place, f"{token}-{n}", spec, tags) for n in range(1, spec.count + 1))

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return the queues by these names, once all of them are there."""
        spec = msgspec.convert(plan.spec, Spec)
        sqs, found = self._clients("sqs", plan.place), []
        for number in range(1, spec.count + 1):
            try:
                found.append(str(call(sqs.get_queue_url, QueueName=f"{token}-{number}")["QueueUrl"]))
            except RefusedError as error:
                if error.code in _GONE:
                    return ()
                raise
        return tuple(found)

    def stop(self, plan: Plan, resources: Sequence[str]) -> NoReturn:
        """Refuse, in words that the requester reads."""
        del plan, resources
        raise RefusedError("NotStoppable", "a queue is not stopped: it is terminated, or left as it is")

    def start(self, plan: Plan, resources: Sequence[str]) -> NoReturn:
        """Refuse, as `stop`."""
        del plan, resources
        raise RefusedError("NotStoppable", "a queue is never stopped, so it is not started")

    def terminate(self, plan: Plan, resources: Sequence[str]) -> None:
        """Delete the queues; one that is gone already is no error, since a cue may come twice."""
        sqs = self._clients("sqs", plan.place)
        for url in resources:
            try:
                call(sqs.delete_queue, QueueUrl=url)
            except RefusedError as error:
                if error.code not in _GONE:
                    raise

    def _made(self, place: Place, name: str, spec: Spec, tags: Mapping[str, str]) -> str:
        try:
            answer = call(
                self._clients("sqs", place).create_queue,
                QueueName=name,
                Attributes={"MessageRetentionPeriod": str(spec.keeps_seconds)},
                tags=dict(tags),
            )
        except RefusedError as error:
            if error.code.endswith("QueueDeletedRecently"):
                raise LaterError(str(error)) from error  # its name is free again after a minute
            if error.code.endswith(("QueueNameExists", "QueueAlreadyExists")):
                raise RefusedError("NotThePlan", f"{name} is there, and is not what the plan says") from error
            raise
        return str(answer["QueueUrl"])


class Eyes:
    """`gonogo.ports.Observer`."""

    def __init__(self, clients: Clients) -> None:
        """Take what makes clients, by the role that only looks."""
        self._clients = clients

    def look(self, resource: str, place: Place) -> Seen | None:
        """Return a queue as it is; what is there runs, and what is not there has ended."""
        sqs = self._clients("sqs", place)
        try:
            said = call(sqs.get_queue_attributes, QueueUrl=resource, AttributeNames=["CreatedTimestamp"])
            tags = call(sqs.list_queue_tags, QueueUrl=resource).get("Tags", {})
        except RefusedError as error:
            if error.code in _GONE:
                return None
            raise LaterError(str(error)) from error
        return Seen(
            id=resource,
            kind="queue",
            state="running",
            client_token=resource.rpartition("/")[2],
            launch=tags.get("gonogo:launch"),
            began_at=datetime.fromtimestamp(float(said["Attributes"]["CreatedTimestamp"]), UTC),
        )

    def survey(self, place: Place, *, ours: bool) -> Iterator[Sequence[Seen]]:
        """Return nothing: queues that nobody approved are not looked for."""
        del place, ours
        return iter(())


_GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def engine(clients: Clients) -> Queues:
    """Return the engine: the first thing that gonogo asks of what the entry point loads."""
    return Queues(clients)


def observer(clients: Clients) -> Eyes:
    """Return the eyes; an engine whose resources only others can report returns None here."""
    return Eyes(clients)
