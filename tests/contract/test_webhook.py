"""What a webhook call promises its receiver, and what no URL, name or answer can make it do."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gonogo.core.errors import EdgeError, LaterError, RefusedError
from gonogo.webhook import ANSWER_LIMIT, Address, Answer, Caller, Target, is_public, read_url, sign
from tests.contract.receiver import Authority, Receiver, Talk, code, more, new_authority, say

NAME = "hooks.example.com"
BODY = b'{"id":"l-1-7","type":"gate.opened"}'
AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"x" * 64).decode()
LOOPBACK = ip_address("127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return the authority that the callers of these tests trust."""
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def receive(authority: Authority) -> Iterator[Callable[..., Receiver]]:
    """Start receivers by TLS, under `NAME` unless told otherwise, and stop them in the end."""
    started: list[Receiver] = []

    def start(talk: Talk, *, tls: ssl.SSLContext | None = None, plain: bool = False) -> Receiver:
        secure = None if plain else tls or authority.serves(x509.DNSName(NAME))
        started.append(Receiver(talk, secure))
        return started[-1]

    yield start
    for receiver in started:
        receiver.close()


@pytest.fixture
def caller(authority: Authority) -> Callable[..., Caller]:
    """Make callers that may reach the loopback and find every name there."""

    def make(**choices: Any) -> Caller:
        settings: dict[str, Any] = {
            "resolve": found("127.0.0.1"),
            "ports": range(1, 65536),
            "allows": lambda address: address == LOOPBACK,
            "tls": authority.trusted,
        }
        return Caller(**settings | choices)

    return make


def found(*addresses: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a name server that knows these addresses for any name."""

    def resolve(_host: str, port: int, _family: int, kind: int) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET6, kind, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, kind, 6, "", (address, port))
            for address in addresses
        ]

    return resolve


def post(caller: Caller, url: str, secrets: tuple[str, ...] = (NEW,), at: datetime = AT) -> Answer:
    """Post the usual message."""
    return caller.post(url, BODY, message_id="l-1-7", at=at, secrets=secrets)


def url_of(receiver: Receiver, path: str = "/in?team=a", host: str = NAME) -> str:
    """Return a URL that leads to the receiver."""
    return f"https://{host}:{receiver.port}{path}"


def refused(act: Callable[[], object]) -> str:
    """Return the code of the refusal for good that `act` ends in."""
    with pytest.raises(RefusedError) as caught:
        act()
    assert "hush" not in logged(caught.value)
    return caught.value.code


def later(act: Callable[[], object]) -> LaterError:
    """Return the error by which `act` asks to be repeated."""
    with pytest.raises(LaterError) as caught:
        act()
    assert "hush" not in logged(caught.value)
    return caught.value


def logged(error: BaseException) -> str:
    """Return what a log would hold of the error, without the lines of this file."""
    parts: list[str] = []
    pending: list[BaseException | None] = [error]
    while pending:
        if (error_ := pending.pop()) is not None:
            parts.extend(traceback.format_exception_only(error_))
            pending += [error_.__cause__, None if error_.__suppress_context__ else error_.__context__]
    return "".join(parts)


class TestSigning:
    """Who may trust a message, and what of it."""

    def test_spec_example(self) -> None:
        """The worked example of the spec's own libraries must come out to the byte."""
        headers = sign(
            b'{"test": 2432232314}',
            message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
            at=datetime.fromtimestamp(1614265330, UTC),
            secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        )
        assert headers == {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }

    @pytest.mark.parametrize("secrets", [(OLD, NEW), (f"{OLD} {NEW}",), (f" {OLD}\n{NEW.rstrip('=')}\n",)])
    def test_rotation(self, secrets: tuple[str, ...]) -> None:
        """While secrets rotate, a receiver with either of them verifies, and one with neither does not."""
        headers = sign(BODY, message_id="l-1-7", at=datetime.now(UTC), secrets=secrets)
        for secret in (OLD, NEW):
            Webhook(secret).verify(BODY, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(OTHER).verify(BODY, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(BODY + b" ", headers)

    @pytest.mark.parametrize(
        "secrets",
        [
            (),
            ("",),
            (" ",),
            ("hush",),
            ("whsec_",),
            ("whsec_hush",),
            (OLD, "whsec_hush"),
            (OLD + "*",),
            (OLD.upper(),),
            ("whsec_" + base64.b64encode(b"o" * 23).decode(),),
            ("whsec_" + base64.b64encode(b"o" * 65).decode(),),
            ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 24).decode(),),
            (OLD[6:],),
        ],
    )
    def test_malformed_secret(self, secrets: tuple[str, ...]) -> None:
        """A message is never sent unsigned or weakly signed because a secret was mistyped."""
        assert refused(lambda: sign(BODY, message_id="m", at=AT, secrets=secrets)) == "secret"

    def test_one_string_is_not_a_list(self) -> None:
        """A lone string passed where a list belongs is refused, not signed letter by letter."""
        assert refused(lambda: sign(BODY, message_id="m", at=AT, secrets=OLD)) == "secret"

    @pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\r\nb", "é", "a" * 256])
    def test_message_id(self, message_id: str) -> None:
        """A full stop in the id would let another id, time and body have the same signature."""
        with pytest.raises(ValueError, match="message_id"):
            sign(BODY, message_id=message_id, at=AT, secrets=[NEW])

    def test_naive_time(self) -> None:
        """A time without a zone would be signed as another moment on another machine."""
        with pytest.raises(ValueError, match="aware"):
            sign(BODY, message_id="m", at=AT.replace(tzinfo=None), secrets=[NEW])


class TestUrls:
    """One grammar, one spelling."""

    @pytest.mark.parametrize(
        ("url", "target"),
        [
            ("https://a.example", Target(scheme="https", host="a.example", port=443, path="/")),
            ("https://a.example:443/", Target(scheme="https", host="a.example", port=443, path="/")),
            ("https://a.example?q=1", Target(scheme="https", host="a.example", port=443, path="/?q=1")),
            (
                "https://xn--bcher-kva.example:8443/T0/B0/x%2Fy?a=b&c=d?e",
                Target(
                    scheme="https", host="xn--bcher-kva.example", port=8443, path="/T0/B0/x%2Fy?a=b&c=d?e"
                ),
            ),
            ("https://8.8.8.8/", Target(scheme="https", host="8.8.8.8", port=443, path="/")),
            ("https://[2001:db8::1]/", Target(scheme="https", host="2001:db8::1", port=443, path="/")),
        ],
    )
    def test_plain(self, url: str, target: Target) -> None:
        """What people write in good faith is understood."""
        assert read_url(url) == target

    @pytest.mark.parametrize(
        ("target", "authority"),
        [
            (Target(scheme="https", host="a.example", port=443, path="/"), "a.example"),
            (Target(scheme="https", host="a.example", port=8443, path="/"), "a.example:8443"),
            (Target(scheme="https", host="2001:db8::1", port=443, path="/"), "[2001:db8::1]"),
            (Target(scheme="https", host="2001:db8::1", port=8443, path="/"), "[2001:db8::1]:8443"),
            (Target(scheme="http", host="a.example", port=443, path="/"), "a.example:443"),
        ],
    )
    def test_authority(self, target: Target, authority: str) -> None:
        """A receiver behind a name-based server is found by the Host field alone."""
        assert target.authority == authority

    @pytest.mark.parametrize(
        ("url", "rule"),
        [
            ("", "url"),
            ("hush", "url"),
            ("//a.example/hush", "url"),
            ("https:a.example/hush", "url"),
            ("https:///a.example/hush", "url"),
            ("HTTPS://a.example/hush", "url"),
            (" https://a.example/hush", "url"),
            ("https://a.example/hush ", "url"),
            ("https://a.example/hush\n", "url"),
            ("https://a.example/hush\r\nX: y", "url"),
            ("https://a.example/\x00hush", "url"),
            ("https://a.example/hush\u2028", "url"),
            ("https://a.example/hüsh", "url"),
            ("https://a.example/%hush", "url"),
            ("https://a.example/%2", "url"),
            ("https://a.example/hush#part", "url"),
            ("https://a.example#@b.example/", "url"),
            ("https://user@a.example/hush", "url"),
            ("https://user:hush@a.example/", "url"),
            ("https://a.example@127.0.0.1/", "url"),
            ("https://a.example\\@127.0.0.1/", "url"),
            ("https://a.example:/hush", "url"),
            ("https://a.example:0443/hush", "url"),
            ("https://a.example:+443/hush", "url"),
            ("https://a.example:443:443/hush", "url"),
            ("https://a.example:44\uff13/hush", "url"),
            ("https://A.example/hush", "url"),
            ("https://bücher.example/", "url"),
            ("https://127。0。0。1/", "url"),
            ("https://①②⑦.0.0.1/", "url"),
            ("https://a_b.example/", "url"),
            ("https://[::1%25eth0]/", "url"),
            ("https://[::1/", "url"),
            ("https://[v1.a]/", "url"),
            ("https://a.example/" + "hush" * 600, "url"),
            ("http://a.example/hush", "scheme"),
            ("ftp://a.example/hush", "scheme"),
            ("file:///hush", "url"),
            ("gopher://a.example/hush", "scheme"),
            ("https://a.example:22/hush", "port"),
            ("https://a.example:80/hush", "port"),
            ("https://a.example:6379/hush", "port"),
            ("https://a.example:65979/hush", "port"),
            ("https://a.example:99999/hush", "port"),
            ("https://a.example./hush", "host"),
            ("https://.a.example/", "host"),
            ("https://a..example/", "host"),
            ("https://-a.example/", "host"),
            ("https://a-.example/", "host"),
            (f"https://{'a' * 64}.example/", "host"),
            ("https://intranet/", "host"),
            ("https://127.1/", "host"),
            ("https://127.0.1/", "host"),
            ("https://2130706433/", "host"),
            ("https://0x7f000001/", "host"),
            ("https://0x7f.0.0.1/", "host"),
            ("https://0x7f.1/", "host"),
            ("https://127.0.0.0x1/", "host"),
            ("https://0177.0.0.1/", "host"),
            ("https://017700000001/", "host"),
            ("https://127.0.0.01/", "host"),
            ("https://127.0.0.1./", "host"),
            ("https://1.2.3.256/", "host"),
            ("https://[::ffff:169.254.169.254]/", "url"),
            ("https://[0:0:0:0:0:0:0:1]/", "host"),
            ("https://[2001:DB8::1]/", "url"),
            ("https://[2001:0db8::1]/", "host"),
            ("https://[127001]/", "host"),
        ],
    )
    def test_other_spellings(self, url: str, rule: str, caller: Callable[..., Caller]) -> None:
        """What two parsers may read differently is refused before any name server is asked."""
        assert refused(lambda: read_url(url)) == rule
        blind = caller(resolve=unreachable, ports=frozenset({443, 8443}), allows=lambda _address: True)
        assert refused(lambda: post(blind, url)) == rule


def unreachable(*_: object) -> list[tuple[Any, ...]]:
    """Stand for a name server that must not be asked."""
    raise AssertionError


class TestAddresses:
    """Where a name may lead."""

    @pytest.mark.parametrize(
        "address",
        ["8.8.8.8", "54.239.28.85", "172.32.0.1", "2606:4700:4700::1111", "2a05:d018::1", "64:ff9b::808:808"],
    )
    def test_public(self, address: str) -> None:
        """The public internet can be called, also from a network that has IPv6 alone (NAT64)."""
        assert is_public(ip_address(address))

    @pytest.mark.parametrize(
        "address",
        [
            "0.0.0.0",  # noqa: S104 - an address to refuse
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.169.253",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::ffff:0:7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:808:808:0:0:5601:5601",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd00:ec2::253",
            "fe80::1",
            "fe80::1%eth0",
            "2606:4700:4700::1111%eth0",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ],
    )
    def test_not_public(self, address: str, caller: Callable[..., Caller]) -> None:
        """The metadata service, the own network and every disguise of them are out of reach by default."""
        assert not is_public(ip_address(address))
        strict = caller(resolve=found(address), ports=frozenset({443}), allows=is_public)
        assert refused(lambda: post(strict, f"https://{NAME}/hush")) == "address"
        mixed = caller(resolve=found("8.8.8.8", address), ports=frozenset({443}), allows=is_public)
        assert refused(lambda: post(mixed, f"https://{NAME}/hush")) == "address"

    @pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "[::1]", "[fd00:ec2::254]", "10.0.0.1"])
    def test_literal(self, host: str) -> None:
        """An address given as such is judged like one that a name has, and no name server is asked."""
        strict = Caller(resolve=unreachable)
        assert refused(lambda: post(strict, f"https://{host}/hush")) == "address"

    def test_defaults_are_strict(self) -> None:
        """A caller made without a thought can reach neither the own machine nor plain HTTP."""
        assert refused(lambda: post(Caller(), "http://a.example/")) == "scheme"
        assert refused(lambda: post(Caller(resolve=found("127.0.0.1")), "https://localhost/")) == "address"

    def test_rebinding(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A name server that answers well when checked and badly when dialled is asked only once."""
        receiver = receive(code(200))
        answers = [found("127.0.0.1"), found("169.254.169.254")]

        def rebinds(host: str, *rest: int) -> list[tuple[Any, ...]]:
            return answers.pop(0)(host, *rest)

        assert post(caller(resolve=rebinds), url_of(receiver)) == Answer(200)
        assert len(answers) == 1

    def test_next_address(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A function without IPv6 still reaches a receiver that has both."""
        receiver = receive(code(200))
        both = caller(resolve=found("::1", "127.0.0.1"), allows=lambda address: address.is_loopback)
        assert post(both, url_of(receiver)) == Answer(200)

    @pytest.mark.parametrize("addresses", [(), ("nonsense",)])
    def test_no_address(self, addresses: tuple[str, ...], caller: Callable[..., Caller]) -> None:
        """A name that has no address today may have one tomorrow."""
        later(lambda: post(caller(resolve=found(*addresses)), f"https://{NAME}/hush"))

    def test_unknown_name(self, caller: Callable[..., Caller]) -> None:
        """A name server that fails is a passing fault."""

        def fails(*_: object) -> list[tuple[Any, ...]]:
            raise socket.gaierror(socket.EAI_AGAIN, "hush")

        later(lambda: post(caller(resolve=fails), f"https://{NAME}/hush"))


class TestExchange:
    """What goes over the wire, and to whom."""

    def test_delivered(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A receiver gets the very bytes, under its own name, and verifies them with a library of others."""
        receiver = receive(code(202))
        assert post(caller(), url_of(receiver), at=datetime.now(UTC)) == Answer(202)
        (request,) = receiver.requests
        assert request.line == "POST /in?team=a HTTP/1.1"
        assert request.body == BODY
        assert request.headers["host"] == f"{NAME}:{receiver.port}"
        assert request.headers["content-type"] == "application/json"
        assert receiver.names == [NAME]
        Webhook(NEW).verify(request.body, request.headers)

    def test_headers(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A stranger learns nothing of the sender but what the message needs."""
        receiver = receive(code(200))
        post(caller(), url_of(receiver))
        assert set(receiver.requests[0].headers) == {
            "host",
            "user-agent",
            "content-type",
            "content-length",
            "accept-encoding",
            "connection",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }

    def test_no_proxy(
        self,
        receive: Callable[..., Receiver],
        caller: Callable[..., Caller],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A proxy setting in the environment would put somebody between the check and the connection."""
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert post(caller(), url_of(receive(code(200)))) == Answer(200)

    def test_address_in_the_certificate(
        self, authority: Authority, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """A receiver that has no name is known by the address in its certificate."""
        receiver = receive(code(200), tls=authority.serves(x509.IPAddress(LOOPBACK)))
        assert post(caller(resolve=unreachable), url_of(receiver, host="127.0.0.1")) == Answer(200)

    @pytest.mark.parametrize("names", [[x509.DNSName("other.example.com")], [x509.IPAddress(LOOPBACK)]])
    def test_other_certificate(
        self,
        names: list[x509.GeneralName],
        authority: Authority,
        receive: Callable[..., Receiver],
        caller: Callable[..., Caller],
    ) -> None:
        """The certificate is checked against the name in the URL, not against the address that is dialled."""
        receiver = receive(code(200), tls=authority.serves(*names))
        assert "certificate" in str(later(lambda: post(caller(), url_of(receiver))))
        assert receiver.requests == []

    def test_expired_certificate(
        self, authority: Authority, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """A certificate that ran out is renewed some day, and until then nothing is sent."""
        expired = authority.serves(x509.DNSName(NAME), until=datetime.now(UTC) - timedelta(hours=1))
        receiver = receive(code(200), tls=expired)
        assert "expired" in str(later(lambda: post(caller(), url_of(receiver))))
        assert receiver.requests == []

    def test_unknown_authority(
        self, tmp_path: Path, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """A certificate that anybody could have made is worth nothing."""
        receiver = receive(code(200), tls=new_authority(tmp_path).serves(x509.DNSName(NAME)))
        assert "certificate" in str(later(lambda: post(caller(), url_of(receiver))))
        assert receiver.requests == []

    def test_plain_http_by_choice(
        self, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """On one machine a receiver without a certificate can be called, if the caller is made for it."""
        receiver = receive(code(200), plain=True)
        local = caller(schemes=frozenset({"http"}), resolve=socket.getaddrinfo, tls=unreachable)
        assert post(local, f"http://127.0.0.1:{receiver.port}/in") == Answer(200)
        assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"

    def test_tls_wanted(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A receiver that speaks no TLS gets no message in clear."""
        receiver = receive(code(200), plain=True)
        later(lambda: post(caller(deadline=0.5), url_of(receiver)))
        assert receiver.requests == []

    def test_import_is_light(self) -> None:
        """The function that calls webhooks must not pay for an AWS client that it may not need."""
        script = "import sys, gonogo.webhook; assert not {'boto3', 'botocore', 'requests'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", script], check=True, env=dict(os.environ), timeout=60)


class TestAnswers:
    """What an answer means, and what it cannot do."""

    @pytest.mark.parametrize("number", [200, 201, 202, 204, 299])
    def test_taken(
        self, number: int, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """Every 2xx says that the message was taken."""
        assert post(caller(), url_of(receive(code(number)))) == Answer(number)

    @pytest.mark.parametrize("number", [300, 301, 302, 303, 304, 307, 308])
    def test_redirect(
        self, number: int, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """A redirect could lead to the metadata service, so it is followed by nobody."""
        elsewhere = receive(code(200))
        receiver = receive(code(number, f"Location: {url_of(elsewhere)}"))
        assert refused(lambda: post(caller(), url_of(receiver))) == str(number)
        assert (receiver.connections, elsewhere.connections) == (1, 0)

    @pytest.mark.parametrize("number", [400, 401, 403, 404, 410, 413, 422, 499])
    def test_refused(
        self, number: int, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """What the receiver will refuse again is not tried again."""
        assert refused(lambda: post(caller(), url_of(receive(code(number))))) == str(number)

    @pytest.mark.parametrize("number", [101, 103, 408, 425, 429, 500, 502, 503, 504, 599, 600, 999])
    def test_passing(
        self, number: int, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """What may pass is tried again."""
        assert str(number) in str(later(lambda: post(caller(), url_of(receive(code(number))))))

    @pytest.mark.parametrize(
        ("field", "seconds"),
        [
            ("0", 0),
            ("120", 120),
            ("999999999", 86400),
            ("9" * 30, None),
            ("-5", None),
            ("1.5", None),
            ("٣", None),
            ("soon", None),
            ("", None),
            ("Mon, 04 May 2026 03:03:01 GMT", 60),
            ("Mon, 04 May 2026 03:03:01 -0000", 60),
            ("Mon, 04 May 2026 03:00:00 GMT", 0),
            ("Mon, 04 May 9999 03:00:00 GMT", 86400),
            ("Mon, 99 May 2026 03:00:00 GMT", None),
        ],
    )
    def test_retry_after(
        self,
        field: str,
        seconds: int | None,
        receive: Callable[..., Receiver],
        caller: Callable[..., Caller],
    ) -> None:
        """A busy receiver says when to come back, within reason, and nonsense is no answer."""
        receiver = receive(code(503, f"Retry-After: {field}"))
        assert later(lambda: post(caller(), url_of(receiver))).retry_after == seconds

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\r\n",
            b"hush",
            b"hush\r\n\r\n",
            b"HTTP/1.1 hush\r\n\r\n",
            b"HTTP/1.1 99 hush\r\n\r\n",
            b"HTTP/1.1 -200 hush\r\n\r\n",
            b"SSH-2.0-hush\r\n",
            b"\xff\x00hush" * 100,
            b"HTTP/1.1 200 OK\r\n" + b"X: hush\r\n" * 10_000 + b"\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        ],
    )
    def test_not_http(
        self, answer: bytes, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """Whatever does not answer as HTTP says is a passing fault, and its words reach no log."""
        later(lambda: post(caller(), url_of(receive(say(answer)))))

    @pytest.mark.parametrize(
        "head",
        [
            b"Content-Length: 100000000",
            b"Content-Length: hush",
            b"Content-Length: -1",
            b"Transfer-Encoding: chunked",
            b"Connection: keep-alive",
        ],
    )
    def test_endless_body(
        self, head: bytes, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """A receiver that never stops talking has answered all the same, and is cut off early."""
        sent = 0

        def endless(connection: socket.socket) -> None:
            nonlocal sent
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n-1\r\n")
            while True:
                sent += connection.send(b"x" * ANSWER_LIMIT)

        receiver = receive(endless)
        assert post(caller(), url_of(receiver)) == Answer(200)
        assert receiver.hung_up.wait(20)
        assert sent < 64 * 2**20

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX: "])
    def test_endless_head(
        self, head: bytes, receive: Callable[..., Receiver], caller: Callable[..., Caller]
    ) -> None:
        """A head without an end is read no further than a body, and its code counts."""

        def endless(connection: socket.socket) -> None:
            connection.sendall(head)
            while True:
                connection.sendall(b"x" * ANSWER_LIMIT)

        receiver = receive(endless)
        assert post(caller(), url_of(receiver)) == Answer(200)
        assert receiver.hung_up.wait(20)

    def test_short_body(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """An answer that breaks off after its head was an answer."""
        talk = say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhush")
        assert post(caller(), url_of(receive(talk))) == Answer(200)

    def test_closed_port(self, caller: Callable[..., Caller]) -> None:
        """A receiver that is down is a passing fault."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            url = f"https://{NAME}:{reserved.getsockname()[1]}/hush"
            later(lambda: post(caller(), url))

    def test_hangs_up(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A receiver that hangs up may or may not have read the message: it is posted again."""
        later(lambda: post(caller(), url_of(receive(lambda connection: connection.close()))))


class TestDeadline:
    """How long a stranger can keep us."""

    def test_slow_head(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A receiver that says a byte now and then is cut off, though it never falls silent."""
        stop = threading.Event()

        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stop.wait(0.02):
                connection.sendall(b"x")

        receiver = receive(drip)
        later(lambda: post(caller(deadline=0.5), url_of(receiver)))
        assert receiver.hung_up.wait(20)
        stop.set()

    def test_slow_body(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """Once the code is known the message was taken, however long the rest would be."""
        stop = threading.Event()

        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not stop.wait(0.02):
                connection.sendall(b"x")

        receiver = receive(drip)
        assert post(caller(deadline=2), url_of(receiver)) == Answer(200)
        assert receiver.hung_up.wait(20)
        stop.set()

    def test_silence(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A receiver that takes the message and says nothing is let go."""
        receiver = receive(lambda connection: connection.sendall(more(connection)))
        later(lambda: post(caller(deadline=0.5), url_of(receiver)))
        assert receiver.hung_up.wait(20)

    def test_no_handshake(self, caller: Callable[..., Caller]) -> None:
        """A listener that never answers the handshake is let go."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://{NAME}:{listener.getsockname()[1]}/hush"
            later(lambda: post(caller(deadline=0.2), url))
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                while connection.recv(65536):
                    pass

    def test_slow_name_server(self, receive: Callable[..., Receiver], caller: Callable[..., Caller]) -> None:
        """A slow name server counts against the same deadline, and nothing is dialled after it."""
        receiver = receive(code(200))
        known, done = threading.Event(), threading.Event()

        def slow(*_: object) -> list[tuple[Any, ...]]:
            known.wait(20)
            threading.Timer(0.1, done.set).start()
            return found("127.0.0.1")(NAME, receiver.port, 0, socket.SOCK_STREAM)

        later(lambda: post(caller(resolve=slow, deadline=0.1), url_of(receiver)))
        known.set()
        assert done.wait(20)
        assert receiver.connections == 0


def test_errors_are_two() -> None:
    """The function that delivers needs to tell only two ends apart, and neither is the other."""
    assert issubclass(RefusedError, EdgeError)
    assert issubclass(LaterError, EdgeError)
    assert not issubclass(RefusedError, LaterError)


def test_address_type_is_public() -> None:
    """A policy on addresses can be written outside, as local/ does."""
    allows: Callable[[Address], bool] = is_public
    assert not allows(LOOPBACK)
