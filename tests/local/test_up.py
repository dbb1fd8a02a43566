"""`python -m local up` as a program of its own, spoken to from outside."""

import http.client
import json
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from local import demo
from local.aws import ACCOUNT, REGION
from local.endpoint import listening
from local.listen import Listener

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("up")]

HOUSE = Path(__file__).parents[2]
READY = "Ctrl-C ends it."


class Up(NamedTuple):
    """A gonogo that runs, and how to reach it."""

    port: int
    aws_port: int
    web: httpx.Client

    def signed_in(self, person: str) -> dict[str, str]:
        """Return the headers of a person's requests."""
        token = self.web.post("_local/token", json={"person": person}).json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def client(self, service: str) -> Any:
        """Return an AWS client as a stranger has it."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=f"http://127.0.0.1:{self.aws_port}",
            region_name=REGION,
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )

    def launch(self, template: str = "web-small") -> dict[str, Any]:
        """Ask for something as dev, and return the launch."""
        body = {"template": template, "reason": "test", "cost_center": "test"}
        answer = self.web.post("v1/launches", json=body, headers=self.signed_in("dev"))
        assert answer.status_code == 201, answer.text
        launch: dict[str, Any] = answer.json()
        return launch


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the program; what it says comes by one pipe."""
    command = [sys.executable, "-m", "local", "up", *arguments]
    return subprocess.Popen(
        command,
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def free_ports() -> tuple[int, int]:
    """Return two ports that nobody listens on now."""
    with listening(0) as first, listening(0) as second:
        return first.getsockname()[1], second.getsockname()[1]


def said_until_ready(process: subprocess.Popen[str]) -> str:
    """Return what the program says until it is ready, or has ended."""
    said = ""
    for line in process.stdout or ():
        said += line
        if READY in line:
            break
    return said


def eventually(look: Any) -> Any:
    """Return what `look` finds, once it finds something."""
    for _ in range(300):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail("it never came")


class Hook(ThreadingHTTPServer):
    """An outside system with a webhook, which keeps what it is posted."""

    def __init__(self) -> None:
        self.posted: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), _Posted)


class _Posted(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.put((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """The outside system that decides in finance's name."""
    with Hook() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Path:
    """The example policy, but finance is reached by a webhook, too."""
    folder: Path = tmp_path_factory.mktemp("house") / "policy"
    shutil.copytree(HOUSE / "policy", folder)
    people = folder / "people.toml"
    reached = 'mail = "finance@example.com"'
    webhook = (
        f'webhook = {{ url = "http://127.0.0.1:{hook.server_port}/", secret = "finance", private = true }}'
    )
    text = people.read_text()
    assert reached in text
    people.write_text(text.replace(reached, f"{reached}\n{webhook}"))
    return folder


@pytest.fixture(scope="module")
def up(policy: Path) -> Iterator[Up]:
    """Run gonogo for the tests of this module; it must end without a word of trouble."""
    port, aws_port = free_ports()
    process = start(
        "--port", str(port), "--aws-port", str(aws_port), "--wake-every", "1", "--policy", str(policy)
    )
    try:
        said = said_until_ready(process)
        assert READY in said, said
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/", timeout=30) as web:
            yield Up(port, aws_port, web)
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in rest
    assert " may not " not in rest, "a function asked for what its role does not allow"


def test_it_tells_a_new_user_what_to_do(up):
    """The page that the terminal names shows people, mails and commands."""
    answer = up.web.get("_local/")
    assert answer.status_code == 200
    assert f"127.0.0.1:{up.aws_port}" in answer.text
    for person in ("dev", "lead", "finance", "ops"):
        assert f">{person}</th>" in answer.text


def test_a_whole_launch_is_told(up, capsys):
    """`make demo` is the first thing that a new user sees work, by nothing but public interfaces."""
    demo.run(up.port, up.aws_port)
    told = capsys.readouterr().out
    for event in ("gate.opened", "launch.cleared", "instance.started", "launch.terminated"):
        assert f"{event} " in told


def test_a_stranger_hears_what_their_pattern_asks_for(up):
    """Any AWS client may attach a rule and a queue of its own, as on AWS."""
    pattern = {
        "detail-type": [{"prefix": "launch."}],
        "detail": {"data": {"launch": {"cost_center": ["test"]}}},
    }
    with closing(Listener(f"http://127.0.0.1:{up.aws_port}", json.dumps(pattern))) as listener:
        launch = up.launch()
        heard: list[dict[str, Any]] = []

        def look():
            heard.extend(listener.events())
            return [one for one in heard if one["detail-type"] == "launch.awaiting_approval"]

        (event,) = eventually(look)
    assert event["source"] == "gonogo"
    assert event["account"] == ACCOUNT
    assert event["detail"]["subject"] == launch["id"]
    assert all(one["detail-type"].startswith("launch.") for one in heard)


def test_a_subscriber_of_the_topic_hears_everything(up):
    """Who has topics rather than rules is served too."""
    sns, sqs = up.client("sns"), up.client("sqs")
    (topic,) = [one["TopicArn"] for one in sns.list_topics()["Topics"] if one["TopicArn"].endswith("-Topic")]
    url = sqs.create_queue(QueueName="topic-subscriber")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:topic-subscriber"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    launch = up.launch()

    def look():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        events = [json.loads(message["Body"]) for message in answer.get("Messages", [])]
        return [one for one in events if one["detail"]["subject"] == launch["id"]]

    assert eventually(look)


def test_an_outside_system_decides_by_its_webhook(up, hook):
    """It needs no more than an address, a secret, and the token that is posted to it."""
    launch = up.launch("gpu-large")
    lead = {"gate": "lead", "verdict": "approve", "digest": launch["digest"]}
    decisions = f"v1/launches/{launch['id']}/decisions"
    assert up.web.post(decisions, json=lead, headers=up.signed_in("lead")).status_code == 200
    headers, body = hook.posted.get(timeout=60)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", up.web.get("_local/").text)
    assert secret is not None
    told = Webhook(secret[0]).verify(body, headers)
    assert told["type"] == "notice.decide"
    assert told["data"]["launch"]["id"] == launch["id"]
    answer = up.web.post("v1/decisions", json={"token": told["data"]["token"], "verdict": "reject"})
    assert answer.json()["state"] == "REJECTED"


def test_the_clock_makes_a_gate_expire(up):
    """Nobody waits three days to see what happens after three days."""
    launch = up.launch()
    assert up.web.post("_local/clock", json={"advance": "4d"}).status_code == 200
    headers = up.signed_in("dev")
    assert up.web.get(f"v1/launches/{launch['id']}", headers=headers).json()["state"] == "EXPIRED"


def test_a_mail_is_shown_as_its_receiver_sees_it(up):
    """The page of a mail has the link that decides."""
    launch = up.launch()
    mails = eventually(
        lambda: [one for one in up.web.get("_local/mail").json() if launch["id"] in one["text"]]
    )
    assert set(mails[0]) == {"id", "at", "from", "to", "subject", "text", "html"}
    page = up.web.get(f"_local/mail/{mails[0]['id']}")
    assert "/decide#gng_" in page.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Length": "x"}, 400),
        ({"Content-Length": "99999999999"}, 413),
    ],
)
def test_a_request_that_no_friend_sends_is_refused(up, headers, status):
    """A page in another tab may not ask for a token, and a broken request gets an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", up.port)) as connection:
        connection.putrequest("POST", "/_local/token", skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status


def test_a_head_request_has_no_body(up):
    """A body after it would be read as the next answer on the same connection."""
    assert up.web.head("_local/").content == b""
    assert up.web.get("healthz").status_code == 200


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
def test_nobody_else_can_reach_it(up):
    """It answers to this machine's loopback address, and to no other that the machine has."""
    for port in (up.port, up.aws_port):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.2:{port}/")


@pytest.mark.parametrize("name", ["PORT", "AWS_PORT"])
def test_a_port_in_use_is_one_sentence(name):
    """It names the port, and what to say instead."""
    with listening(0) as taken, listening(0) as free:
        port, other = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        ports = {"PORT": other, "AWS_PORT": other} | {name: port}
        process = start("--port", str(ports["PORT"]), "--aws-port", str(ports["AWS_PORT"]))
        said, _ = process.communicate()
    assert process.returncode == 1
    assert said.splitlines() == [
        f"Port {port} is in use: end what listens there, or choose another: `make up {name}={port + 1}`."
    ]


def test_a_supervisor_ends_it_as_ctrl_c_does():
    """SIGTERM is how scripts, make and systemd end a program, and that is no error."""
    port, aws_port = free_ports()
    process = start("--port", str(port), "--aws-port", str(aws_port))
    assert READY in said_until_ready(process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 0
    assert said.split() == ["Stopping."]
