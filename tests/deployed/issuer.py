"""An identity provider on this machine: https by a certificate of its own, tokens for anybody."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

HOST = "127.0.0.1"
AUDIENCE = "gonogo"
KEY_ID = "only"


class Issuer:
    """A running issuer: where it is, and what it says of people."""

    def __init__(self, port: int, key: ec.EllipticCurvePrivateKey) -> None:
        """Take the port that it listens on and the key that it signs with."""
        self.address = f"https://{HOST}:{port}"
        self.jwks_uri = f"{self.address}/jwks.json"
        self._key = key

    def token(self, subject: str) -> str:
        """Return a bearer token that says who somebody is, for five minutes."""
        now = datetime.now(UTC)
        claims = {
            "iss": self.address,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + timedelta(minutes=5),
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": KEY_ID})


@contextmanager
def running(folder: Path) -> Iterator[Issuer]:
    """Run an issuer. Who shall believe its certificate must trust `folder`/ca.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    keys = {"keys": [{**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KEY_ID, "alg": "ES256"}]}
    body = json.dumps(keys).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/jwks.json" else 404)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.socket = _tls(folder).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Issuer(server.server_port, key)
        finally:
            server.shutdown()


def _tls(folder: Path) -> ssl.SSLContext:
    """Make a certificate authority and what it vouches for, and leave its certificate in `folder`/ca.pem."""
    ca_key, ca = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=tests of gonogo")
    key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        _certificate(ca, ca, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    vouched = (
        _certificate(x509.Name.from_rfc4514_string(f"CN={HOST}"), ca, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(
        vouched.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
    )
