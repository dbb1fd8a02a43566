"""An HTTP server on the loopback that says what it is told to say, and an authority that vouches for it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Talk = Callable[[socket.socket], None]


class Request(msgspec.Struct, frozen=True):
    """What the receiver read."""

    line: str
    headers: dict[str, str]
    body: bytes


def say(answer: bytes) -> Talk:
    """Answer with just these bytes."""
    return lambda connection: connection.sendall(answer)


def code(number: int, *fields: str) -> Talk:
    """Answer with this code, these fields and some words."""
    lines = [f"HTTP/1.1 {number} Whatever", "Content-Length: 11", *fields, "", "hush, hush!"]
    return say("\r\n".join(lines).encode())


class Receiver:
    """An HTTP server on a loopback port that reads one request a connection and then talks as it is told."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None) -> None:
        self.requests: list[Request] = []
        self.names: list[str] = []
        self.connections = 0
        self.hung_up = threading.Event()
        """The other side closed while there was more to say or to read."""
        self._talk = talk
        self._tls = tls
        if tls is not None:
            tls.sni_callback = lambda _sock, name, _context: self.names.append(str(name))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections, and wait for the last to end."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with connection:
                    connection.settimeout(30)
                    self._attend(connection)
            except OSError:
                self.hung_up.set()

    def _attend(self, connection: socket.socket) -> None:
        if self._tls is None:
            self._read(connection)
            self._talk(connection)
            return
        with self._tls.wrap_socket(connection, server_side=True) as secured:
            self._read(secured)
            self._talk(secured)

    def _read(self, connection: socket.socket) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += more(connection)
        head, _, body = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a field came twice"
        while len(body) < int(headers.get("content-length", "0")):
            body += more(connection)
        self.requests.append(Request(line, headers, body))


def more(connection: socket.socket) -> bytes:
    """Return what came; a connection that ends is an error."""
    raw = connection.recv(65536)
    if not raw:
        raise ConnectionResetError
    return raw


class Authority(msgspec.Struct, frozen=True):
    """A certificate authority of one test run."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    folder: Path

    def file(self) -> Path:
        """Return a file that holds its certificate."""
        path = self.folder / "authority.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def trusted(self) -> ssl.SSLContext:
        """Return the context of a caller that trusts this authority and no other."""
        return ssl.create_default_context(cafile=self.file())

    def serves(self, *names: x509.GeneralName, until: datetime | None = None) -> ssl.SSLContext:
        """Return the context of a server that is called by these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = until or datetime.now(UTC) + timedelta(days=1)
        certificate = (
            x509.CertificateBuilder(issuer_name=self.certificate.subject, subject_name=x509.Name([]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=2))
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{certificate.serial_number}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def new_authority(folder: Path) -> Authority:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gonogo test authority")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key, folder)
