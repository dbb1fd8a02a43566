"""Knows how to post one signed JSON body to a stranger's URL without being led anywhere else by it.

The URL is read by one strict grammar, its host is resolved once, every address that comes back is judged,
and the connection goes to exactly such an address while the certificate is checked against the name.
Signed as Standard Webhooks 1.0.0 says: https://github.com/standard-webhooks/standard-webhooks, `spec/`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import io
import re
import socket
import ssl
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gonogo.core.circuit import WHOLE, Circuit
from gonogo.core.errors import LaterError, RefusedError, SilentError
from gonogo.ports import Caller as Calls

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int, int, int], Iterable[tuple[Any, ...]]]
"""As `socket.getaddrinfo(host, port, family, type)`."""

DEADLINE = 10.0
"""Seconds for one whole exchange: name, connection, handshake, request and answer."""
ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer that are read at most, its head included."""
LONGEST_WAIT = timedelta(days=1)
"""The longest wait that a receiver may ask for."""

DEFAULT_PORTS = {"https": 443, "http": 80}
URL_LIMIT = 2048
"""Characters of a URL."""
SECRET_SIZES = range(24, 65)
"""Bytes of a signing secret (Standard Webhooks 1.0.0: 192 to 512 bits)."""

PUBLIC_SCHEMES = frozenset({"https"})
PUBLIC_PORTS = frozenset({443, 8443})

_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})"
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?:\[(?P<six>[0-9a-f:]+)\]|(?P<host>[a-z0-9.-]{1,253}))(?::(?P<port>[1-9][0-9]{0,4}))?"
    rf"(?P<path>/{_CHARACTER}*)?(?P<query>\?(?:{_CHARACTER}|\?)*)?"
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?:localhost|(?:{_LABEL}\.)+(?=[a-z]){_LABEL})")
"""The last label begins with a letter, for else some resolvers read a number: `0x7f.1` (WHATWG URL, 3.5)."""
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SECRET = re.compile(r"whsec_([A-Za-z0-9+/]+)={0,2}")

_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_UNROUTED = (ip_network("192.0.0.0/24"), ip_network("192.88.99.0/24"), ip_network("3fff::/20"))
"""Not global by the IANA special-purpose registries, though some versions of `ipaddress` say so."""

_TAKEN, _REDIRECTED, _REFUSED = range(200, 300), range(300, 400), range(400, 500)
_PASSING = frozenset({408, 425, 429})
"""The 4xx that ask for the same call again (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4)."""


class Answer(msgspec.Struct, frozen=True):
    """What the receiver answered: a code from 200 to 299. Its words are for nobody."""

    code: int


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a URL leads: `host` is a lower-case DNS name or an IP address, `path` holds the query too."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` field (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


def read_url(
    url: str, *, schemes: Container[str] = PUBLIC_SCHEMES, ports: Container[int] = PUBLIC_PORTS
) -> Target:
    """Return where `url` leads, without asking anybody.

    One spelling only: at most 2,048 characters of ASCII, host in lower case, an IP address as RFC 5952 or
    four plain decimals write it, no user, no fragment, no trailing dot.

    Raises:
        RefusedError: `url`, `scheme`, `port` or `host`; the URL, which may be secret, is never repeated.
    """
    match = _URL.fullmatch(url) if len(url) <= URL_LIMIT else None
    if match is None:
        raise RefusedError("url", "A webhook is https://name[:port][/path][?query] in ASCII, and no more.")
    scheme = match["scheme"]
    if scheme not in schemes:
        raise RefusedError("scheme", "This scheme may not be called.")
    port = int(match["port"] or DEFAULT_PORTS.get(scheme, 0))
    if port not in ports:
        raise RefusedError("port", "This port may not be called.")
    host = match["six"] or match["host"]
    if _literal(host) is None and (match["six"] or not _NAME.fullmatch(host)):
        raise RefusedError(
            "host", "The host is no lower-case DNS name and no IP address in its one spelling."
        )
    return Target(scheme=scheme, host=host, port=port, path=(match["path"] or "/") + (match["query"] or ""))


def is_public(address: Address) -> bool:
    """Return whether `address` is a unicast address of the public internet.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is what it stands for; Teredo never is.
    """
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if address.scope_id is not None or address not in _UNICAST:
            return False
    unrouted = any(address in network for network in _UNROUTED if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not unrouted


def sign(body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """Return the three headers of Standard Webhooks 1.0.0.

    There is a signature with each of `secrets`, so that a receiver can change from one to the next. A secret
    is `whsec_` and the base64 of 24 to 64 bytes; one string may hold several, separated by spaces.

    Raises:
        RefusedError: `secret`, there is none or one is malformed; the message never repeats it.
        ValueError: `message_id` is not 1 to 255 letters, digits, `-` and `_`, or `at` is naive.
    """
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError("message_id: 1 to 255 letters, digits, - and _ (a dot would shift what is signed)")
    if at.tzinfo is None:
        raise ValueError("at: an aware datetime")
    keys = [_key(secret) for text in secrets for secret in text.split()]
    if not keys:
        raise RefusedError("secret", "There is no signing secret for this webhook.")
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


class Caller:
    """Posts to URLs that strangers chose. It follows no redirect and heeds no proxy setting."""

    def __init__(
        self,
        *,
        resolve: Resolve = socket.getaddrinfo,
        schemes: Container[str] = PUBLIC_SCHEMES,
        ports: Container[int] = PUBLIC_PORTS,
        allows: Callable[[Address], bool] = is_public,
        deadline: float = DEADLINE,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        """Keep what may be called; the defaults are the strict ones.

        `allows` judges each address that a name has; `deadline` is in seconds, for one whole exchange; `tls`
        makes the context, once, when the first call needs it.
        """
        self._resolve = resolve
        self._schemes = schemes
        self._ports = ports
        self._allows = allows
        self._deadline = deadline
        self._tls = tls

    def post(self, url: str, body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> Answer:
        """Post `body`, a JSON text, to `url`, signed with `secrets` as of `at`, and return the answer.

        `message_id` is the same whenever the same message is posted again; `at` is the time of this attempt.

        Raises:
            RefusedError: for good: `url`, `scheme`, `port`, `host`, `address`, `secret`, or the answer's code
                (a redirect; a 4xx but 408, 425 and 429). Nothing was sent unless it is a code.
            SilentError: no answer.
            LaterError: a 5xx, 408, 425 or 429; with the seconds to wait if the receiver said.
            ValueError: see `sign`.
        """
        target = read_url(url, schemes=self._schemes, ports=self._ports)
        headers = {
            "Host": target.authority,
            "User-Agent": "gonogo",
            "Content-Type": "application/json",
            "Connection": "close",
            **sign(body, message_id=message_id, at=at, secrets=secrets),
        }
        exchange = _Exchange()
        done: Future[_Head] = Future()

        def work() -> None:
            try:
                done.set_result(self._talk(exchange, target, headers, body))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the waiting thread shall raise it
                done.set_exception(error)

        # On a thread: nothing else bounds a slow name server, or a receiver that sends a byte now and then.
        threading.Thread(target=work, name="webhook", daemon=True).start()
        try:
            head = done.result(self._deadline)
        except TimeoutError:
            if exchange.head is None:
                raise SilentError(f"The receiver did not answer within {self._deadline:g} s.") from None
            head = exchange.head
        finally:
            exchange.cut()
        return _judge(head, at)

    def _talk(self, exchange: _Exchange, target: Target, headers: dict[str, str], body: bytes) -> _Head:
        """Return the head of the answer, and leave it in `exchange` as soon as it is there."""
        try:
            with self._connect(exchange, target) as sock:
                if target.scheme == "https":
                    with self._context.wrap_socket(sock, server_hostname=target.host) as secured:
                        return _ask(exchange, secured, target, headers, body)
                return _ask(exchange, sock, target, headers, body)
        except ssl.SSLCertVerificationError as error:
            raise SilentError(f"The receiver's certificate is not valid: {error.verify_message}.") from None
        except (OSError, http.client.HTTPException, ValueError):
            # Without its cause: that may hold what the receiver said.
            raise SilentError("The connection to the receiver broke, or what it said is not HTTP.") from None

    def _connect(self, exchange: _Exchange, target: Target) -> socket.socket:
        """Return a connection to the first of the target's addresses that takes one."""
        addresses = self._addresses(target)
        for address in addresses:
            family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                exchange.hold(sock)
                sock.settimeout(self._deadline / len(addresses))
                sock.connect((str(address), target.port))
            except OSError:
                sock.close()
            else:
                sock.settimeout(self._deadline)
                return sock
        raise SilentError("The receiver takes no connection.")

    def _addresses(self, target: Target) -> list[Address]:
        """Return every address of the host, asked for once; one that is not allowed refuses them all."""
        literal = _literal(target.host)
        if literal is not None:
            addresses = [literal]
        else:
            try:
                found = list(self._resolve(target.host, target.port, 0, socket.SOCK_STREAM))
            except OSError:
                raise SilentError("The name of the receiver is not known now.") from None
            addresses = [ip_address(entry[4][0]) for entry in found]
        if not addresses:
            raise SilentError("The name of the receiver has no address now.")
        if not all(self._allows(address) for address in addresses):
            raise RefusedError("address", "The host has an address that may not be called.")
        return list(dict.fromkeys(addresses))

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._tls()


class Patient:
    """A `ports.Caller` that leaves a host alone for a while when it does not answer, as far as one process knows.

    Each call of a dead host takes the whole deadline, which the notices to all others would wait for.
    """

    def __init__(self, caller: Calls) -> None:
        """Take who calls; of no host anything is known."""
        self._caller = caller
        self._circuits: dict[str, Circuit] = {}
        self._lock = threading.Lock()

    def post(self, url: str, body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> object:
        """Post one signed body, unless the host is left alone now.

        Raises:
            SilentError: no answer came, or the host is not called now; with the seconds to wait if so.
            RefusedError, LaterError: as for the caller.
        """
        host = urlsplit(url).netloc
        with self._lock:
            circuit = self._circuits.get(host, WHOLE)
            wait = circuit.wait(at)
            if wait:
                raise SilentError(
                    f"Not called: the last {circuit.silences} calls to this host were not answered.",
                    ceil(wait.total_seconds()),
                )
            if circuit is not WHOLE:
                self._circuits[host] = circuit.called(at)
        try:
            answer = self._caller.post(url, body, message_id=message_id, at=at, secrets=secrets)
        except SilentError:
            with self._lock:
                self._circuits[host] = self._circuits.get(host, WHOLE).silent(at)
            raise
        except RefusedError as error:
            if error.code.isdigit():  # the receiver's own; for all others nobody was called
                self._whole(host)
            raise
        except LaterError:
            self._whole(host)
            raise
        self._whole(host)
        return answer

    def _whole(self, host: str) -> None:
        with self._lock:
            self._circuits.pop(host, None)


class _Head(msgspec.Struct, frozen=True):
    """What is read of an answer."""

    code: int
    retry_after: str


class _Exchange:
    """One request and the answer to it so far; another thread may cut it off."""

    def __init__(self) -> None:
        self.head: _Head | None = None
        self._lock = threading.Lock()
        self._over = False
        self._held: socket.socket | None = None

    def hold(self, sock: socket.socket) -> None:
        """Take a second handle on `sock`, which stays good when TLS takes the first.

        Raises:
            OSError: the exchange is over already.
        """
        with self._lock:
            if self._held is not None:
                self._held.close()
                self._held = None
            if self._over:
                raise TimeoutError
            self._held = sock.dup()

    def cut(self) -> None:
        """End it, and with it whatever waits on its connection."""
        with self._lock:
            self._over = True
            if self._held is not None:
                with suppress(OSError):
                    self._held.shutdown(socket.SHUT_RDWR)
                self._held.close()
                self._held = None


class _Capped(io.RawIOBase):
    """What the receiver sends, which ends after `ANSWER_LIMIT` bytes whatever the receiver thinks."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self._left = ANSWER_LIMIT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            return 0
        size = self._sock.recv_into(buffer, min(len(buffer), self._left))
        self._left -= size
        return size


def _ask(
    exchange: _Exchange, sock: socket.socket, target: Target, headers: dict[str, str], body: bytes
) -> _Head:
    """Send the request over `sock` and return the head of the answer."""
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    connection.auto_open = 0  # never dials by itself: the address was judged, another would not be
    connection.request("POST", target.path, body, headers)
    response = http.client.HTTPResponse(sock, method="POST")
    response.fp.close()
    response.fp = io.BufferedReader(_Capped(sock))
    with response:
        response.begin()
        head = exchange.head = _Head(response.status, response.getheader("Retry-After") or "")
        # The code is the answer, whatever becomes of the rest: reading on is a courtesy to the receiver.
        with suppress(OSError, http.client.HTTPException, ValueError):
            response.read()
    return head


def _judge(head: _Head, at: datetime) -> Answer:
    """Return the answer of a receiver that took the message, and raise what another means."""
    code = head.code
    if code in _TAKEN:
        return Answer(code)
    if code in _REDIRECTED:
        raise RefusedError(str(code), "The receiver redirects, and redirects are not followed.")
    if code in _REFUSED and code not in _PASSING:
        raise RefusedError(str(code), "The receiver refuses the message.")
    raise LaterError(f"The receiver answered {code}.", _seconds(head.retry_after, at))


def _seconds(retry_after: str, at: datetime) -> int | None:
    """Return the seconds that a Retry-After field asks for: a number, or a date (RFC 9110, 10.2.3)."""
    try:
        if re.fullmatch(r"[0-9]{1,9}", retry_after):
            wait = timedelta(seconds=int(retry_after))
        else:
            until = parsedate_to_datetime(retry_after)
            wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - at
    except (ValueError, TypeError, OverflowError):
        return None
    return int(min(max(wait, timedelta()), LONGEST_WAIT).total_seconds())


def _key(secret: str) -> bytes:
    match = _SECRET.fullmatch(secret)
    try:
        key = base64.b64decode(match[1] + "=" * (-len(match[1]) % 4)) if match else b""
    except binascii.Error:
        key = b""
    if len(key) not in SECRET_SIZES:
        raise RefusedError("secret", "A signing secret is whsec_ and the base64 of 24 to 64 bytes.")
    return key


def _literal(host: str) -> Address | None:
    """Return the address that `host` is, if it is one in its one spelling."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address if str(address) == host else None


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that `address` stands for (RFC 4291, 2.5.5.2; RFC 6052, 2.1; RFC 3056, 2)."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
