"""All of gonogo in one process: moto for AWS, app.py for the code, infra/template.yaml for the wiring.

`aws.pretend()` comes before this module is imported: moto and boto3 read their settings then.
"""

import base64
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final, Literal

from chalice.app import Chalice
from chalice.local import LambdaContext
from chalice.utils import to_cfn_resource_name
from moto import mock_aws
from moto.ec2.models import ec2_backends

from gonogo import bootstrap
from gonogo.cli import folder
from gonogo.core.bundle import Bundle
from gonogo.oidc import Issuer as Trusted
from gonogo.oidc import Oidc
from gonogo.service import policies
from gonogo.webhook import Caller, is_public
from local import moto_faithful, page, sign_in, template, welcome
from local.aws import ACCOUNT, REGION, client
from local.clock import Clock
from local.ec2 import InstanceWatch
from local.endpoint import Endpoint
from local.guard import Guard
from local.issuer import AUDIENCE, ISSUER, Issuer
from local.mailbox import Mailbox
from local.pump import Outcome, Pump, QueuePump, Runner, StreamPump
from local.roles import Rights, parameters_for, rights
from local.routes import Routes
from local.schedule import Ticker
from local.server import HOST, serve
from local.stack import Stack, Wire
from local.stacks import ExecutionWatch, StackWatch

log = logging.getLogger(__name__)

ROOT: Final = Path(__file__).resolve().parent.parent
MAIL_FROM: Final = "gonogo@example.com"
MEMORY = 1024
TIMEOUT = 60_000
POLL = 0.1

Function = Callable[[Any], Any]


class WiringError(Exception):
    """infra/template.yaml wires a function that app.py does not have, or whose role does not let Lambda do its part."""


class House:
    """Made, it has its resources and its policy; started, it serves and pumps; stopped, it is gone.

    Only one may be made in a process: moto's state and gonogo's composition are the process's own.
    """

    def __init__(
        self,
        *,
        port: int,
        aws_port: int,
        policy: Path,
        roles: Literal["on", "off"] = "on",
        wake_every: timedelta | None = None,
    ) -> None:
        """Take the two ports, the folder of the policy, and another interval for the schedule.

        With roles "on" each function may do what its role allows; "off", all that moto plays. The stack is as if
        deployed with the parameters that the policy's templates need.

        Raises OSError when a port is taken, and gonogo's BundleRefusedError when the policy breaks rules.
        """
        self.url = f"http://{HOST}:{port}/"
        self.aws_url = f"http://{HOST}:{aws_port}"
        self.clock = Clock()
        moto_faithful.hooks.now = self.clock.now
        moto_faithful.install()
        self._moto = mock_aws()
        self._moto.start()

        read = template.read(ROOT / "infra" / "template.yaml")
        files = folder.read(policy)
        bundled = policies.accept(files, _trusts).templates.values()
        parameters = {**self._parameters(), **parameters_for(bundled)}
        self.stack = Stack(read, parameters)
        self.stack.make()
        self.guard = Guard(rights(read, parameters, self.stack.look, bundled))
        self.issuer = Issuer(self.clock.now)
        self.mailbox = Mailbox(self.clock.now)
        self.gonogo = self._composition()
        bootstrap.install(self.gonogo)
        client("sesv2").create_email_identity(EmailIdentity=MAIL_FROM)
        policies.publish(self.gonogo.items, files, self.gonogo.trusts, self.clock.now())
        self.secrets: dict[str, str] = {}
        self._known = ""
        self._know()

        app = _app()
        functions = {name: self.guard.wrap(name, function) for name, function in _functions(app).items()}
        self._watching = ExitStack()
        if roles == "on":
            _let_lambda_do_its_part(self.guard.rights)
            self._watching.enter_context(self.guard.watching())
        watches = (InstanceWatch(self.clock.now), StackWatch(), ExecutionWatch())
        self.pumps: list[Pump] = [*(_pump(wire, functions) for wire in self.stack.wires()), *watches]
        self.tickers = [
            Ticker(one, _named(functions, one.function), self.clock.now, wake_every)
            for one in self.stack.schedules()
        ]
        routes = Routes(
            clock=self.clock,
            issuer=self.issuer,
            mailbox=self.mailbox,
            jumped=self._jumped,
            view=self._view,
            know=self._know,
            keep=self.keep,
            restore=self.restore,
        )
        self._server = serve(app, port, routes, lambda: self.guard.acting("APIHandler"))
        self._endpoint = Endpoint(aws_port)
        self._runners: list[Runner] = []

    def start(self) -> None:
        """Serve, pump and fire from now on."""
        self._run()
        for ticker in self.tickers:
            ticker.start()
        self._endpoint.start()
        threading.Thread(
            target=self._server.server.serve_forever, args=(POLL,), name="API", daemon=True
        ).start()

    def _run(self) -> None:
        self._runners = [Runner(pump) for pump in self.pumps]
        by_source = {runner.source: runner for runner in self._runners}
        moto_faithful.hooks.heard = lambda arn: by_source[arn].ring() if arn in by_source else None
        for runner in self._runners:
            runner.start()

    def keep(self) -> str:
        """Back up the table, and return the backup's ARN."""
        table = self.gonogo.settings.table
        made = client("dynamodb").create_backup(
            TableName=table, BackupName=f"{table}-{self.clock.now():%H%M%S}"
        )
        return str(made["BackupDetails"]["BackupArn"])

    def restore(self, backup: str) -> int:
        """Put a backup in the table's place as docs/restore.md does, and return the epoch that begins by it.

        Raises:
            ClientError: AWS has no such backup.
        """
        dynamodb, settings = client("dynamodb"), self.gonogo.settings
        dynamodb.describe_backup(BackupArn=backup)
        for runner in self._runners:
            runner.stop()
        dynamodb.delete_table(TableName=settings.table)
        dynamodb.restore_table_from_backup(TargetTableName=settings.table, BackupArn=backup)
        stream = dynamodb.update_table(
            TableName=settings.table,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )["TableDescription"]["LatestStreamArn"]
        self.gonogo = self._composition(settings.epoch + 1)
        bootstrap.install(self.gonogo)
        self.pumps = [one.of_stream(stream) if isinstance(one, StreamPump) else one for one in self.pumps]
        self._run()
        return self.gonogo.settings.epoch

    def stop(self) -> None:
        """End what `start` began; what was going on is finished first."""
        self._server.shutdown()
        self._server.server.server_close()
        self._endpoint.stop()
        for ticker in self.tickers:
            ticker.stop()
        for runner in self._runners:
            runner.stop()
        self._watching.close()
        self._moto.stop()

    def settle(self) -> None:
        """Without `start`, on this thread: move records until there are none that can be moved now."""
        while any(pump.step() is Outcome.WORKED for pump in self.pumps):
            pass

    def _parameters(self) -> Mapping[str, str]:
        return {
            "Anchors": "on",
            "BillingFiles": "usage",
            "MailFrom": MAIL_FROM,
            "OidcAudience": AUDIENCE,
            "OidcIssuer": ISSUER,
            "OidcJwksUri": f"{self.url}_local/jwks.json",
            "PublicUrl": self.url,
            "StackRoleArns": f"arn:aws:iam::{ACCOUNT}:role/stacks",  # with it, what becomes of stacks is reported
        }

    def _composition(self, epoch: int = 1) -> bootstrap.Gonogo:
        environment = {
            **self.stack.environment(),
            "GONOGO_EPOCH": str(epoch),
            "AWS_REGION": REGION,
            "GONOGO_SIGN_IN": _sign_in(),
        }
        settings = bootstrap.Settings.read(environment)
        keys = [Trusted(issuer=ISSUER, audience=AUDIENCE, keys=self.issuer.jwks())]
        return bootstrap.Gonogo(
            settings,
            now=self.clock.now,
            trusts=_trusts,
            identity=Oidc(keys),
            caller=Caller(schemes={"http", "https"}, ports=range(1, 65536), allows=_here_or_public),
        )

    def _know(self) -> None:
        """Know the people of the policy that is in force now, and give their webhooks a secret each."""
        bundle = self.gonogo.policies.current()
        if bundle.digest == self._known:
            return
        self.issuer.people = {one.name: one for one in bundle.people.values() if one.issuer == ISSUER}
        self.secrets |= _make_secrets(bundle, without=self.secrets)
        self._known = bundle.digest

    def _jumped(self) -> None:
        for ticker in self.tickers:
            ticker.jumped()

    def _view(self) -> page.View:
        self._know()
        return page.View(
            url=self.url,
            aws_url=self.aws_url,
            bus=self.gonogo.settings.bus,
            topic=self.stack.look("Topic", None),
            now=self.clock.now().strftime("%Y-%m-%d %H:%M:%S UTC"),
            people=list(self.issuer.people.values()),
            secrets=self.secrets,
            machines=list(_machines()),
            steps=welcome.steps(self.url, self.aws_url),
        )


def _trusts(issuer: str) -> bool:
    return issuer == ISSUER or bootstrap.https_only(issuer)


def _let_lambda_do_its_part(rights: Rights) -> None:
    """Raise WiringError for what Lambda does in a function's name and its role does not allow; Lambda refuses it too."""
    for function, calls in rights.by_lambda.items():
        for call in calls:
            why = rights.refusal(rights.role_of[function], call)
            if why is not None:
                message = f"Lambda may not {call.action} on {call.resource} for {function} {why}"
                raise WiringError(message)


def _app() -> Chalice:
    import app

    found: Chalice = app.app
    # Chalice writes its log to standard output by a handler of its own; here one place says how logs look
    found.log.handlers.clear()
    found.log.propagate = True
    return found


def _functions(app: Chalice) -> dict[str, Function]:
    """Return app.py's functions by the logical id that Chalice gives them, called as Lambda calls them."""
    return {to_cfn_resource_name(name): _called(name, handler) for name, handler in app.handler_map.items()}


def _called(name: str, handler: Callable[[Any, Any], Any]) -> Function:
    return lambda event: handler(event, LambdaContext(name, MEMORY, TIMEOUT))


def _named(functions: Mapping[str, Function], name: str) -> Function:
    if name not in functions:
        message = f"infra/template.yaml wires the function {name}, which app.py does not have"
        raise WiringError(message)
    return functions[name]


def _pump(wire: Wire, functions: Mapping[str, Function]) -> Pump:
    function = _named(functions, wire.function)
    return StreamPump(wire, function) if ":dynamodb:" in wire.source else QueuePump(wire, function)


def _sign_in() -> str:
    """Return how browsers sign in here; relative, so that it works under each name of this machine."""
    client = {"client_id": sign_in.CLIENT, "authorize_uri": sign_in.AUTHORIZE, "token_uri": sign_in.EXCHANGE}
    return json.dumps(client)


def _here_or_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback or is_public(address)


def _make_secrets(bundle: Bundle, without: Mapping[str, str]) -> dict[str, str]:
    """Make a signing secret for each webhook of the policy that has none yet, and return them by name."""
    named = {person.webhook.secret for person in bundle.people.values() if person.webhook}
    names = sorted(named - set(without))
    made = {name: f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}" for name in names}
    for name, secret in made.items():
        client("ssm").put_parameter(Name=f"/gonogo/webhooks/{name}", Value=secret, Type="SecureString")
    return made


def _machines() -> Iterator[page.Machine]:
    for backend in list(ec2_backends[ACCOUNT].values()):
        for reservation in list(backend.reservations.values()):
            for one in reservation.instances:
                yield page.Machine(one.id, one.instance_type, one._state.name)  # noqa: SLF001  as local/ec2.py
