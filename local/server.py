"""Serves HTTP: gonogo's own routes through Chalice's local gateway, and those below /_local/."""

import logging
import socketserver
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import (
    ChaliceRequestHandler,
    CustomLocalChalice,
    LocalChalice,
    LocalDevServer,
    LocalGatewayException,
    ThreadedHTTPServer,
)

from local.routes import PREFIX, SECURITY_HEADERS, Reply, Routes, problem

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
BODY_LIMIT = 10 * 1024 * 1024  # API Gateway's own (API Gateway quotas, "Payload size")
SILENCE_LIMIT = 60

Around = Callable[[], AbstractContextManager[None]]
"""Gives what each request to gonogo is answered in."""


class Handler(ChaliceRequestHandler):
    """One connection."""

    timeout = SILENCE_LIMIT

    def __init__(self, *args: Any, routes: Routes, around: Around, **kwargs: Any) -> None:
        self._routes = routes
        self._around = around
        super().__init__(*args, **kwargs)

    def _any_method(self) -> None:
        refused = self._refused()
        if refused is not None:
            self.close_connection = True
            self._send(refused)
        elif self.path == PREFIX or self.path.startswith((f"{PREFIX}/", f"{PREFIX}?")):
            length = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(self._routes.answer(self.command, self.path, headers, self.rfile.read(length)))
        else:
            with self._around():
                self._generic_handle()

    def _guarded(self) -> None:
        try:
            self._any_method()
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("%s %s failed", self.command, urlsplit(self.path).path)
            self.close_connection = True
            self._send(problem(500, "internal", "This is our fault", "The log says more."))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _guarded  # noqa: N815

    def __getattr__(self, name: str) -> Any:
        """Have every other method answered in the same way: the base class looks for `do_` and its name."""
        if name.startswith("do_"):
            return self._guarded
        raise AttributeError(name)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request at all as a problem like all others; what was sent is not repeated."""
        del message, explain
        status = HTTPStatus(code)
        self.close_connection = True
        self._send(problem(status, "invalid", status.phrase, status.description or "It is no request."))

    def _refused(self) -> Reply | None:
        """Return the answer to a request whose body cannot be read as API Gateway would."""
        if "transfer-encoding" in self.headers:
            return problem(411, "length-required", "Say how long it is", "Send a Content-Length.")
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return problem(400, "invalid", "The request breaks a rule", "Content-Length is not a number.")
        if len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT:
            return problem(413, "too-large", "The body is too large", f"It is at most {BODY_LIMIT} bytes.")
        return None

    def _send_error_response(self, _error: LocalGatewayException) -> None:
        """Answer what no route is asked about as infra/template.yaml has the gateway answer it."""
        self._send(problem(404, "not-found", "Not Found", "There is no such path, or it has no such method."))

    def _send(self, reply: Reply) -> None:
        headers = {"Content-Type": reply.content_type, **SECURITY_HEADERS, **reply.headers}
        self._send_http_response_with_body(reply.status, headers, reply.body)

    def _send_http_response_with_body(self, code: int, headers: Any, body: str | bytes) -> None:
        """Send as the base class does, but nothing after the head where HTTP has no body."""
        bodiless = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if self.command != "HEAD" and code not in bodiless:
            super()._send_http_response_with_body(code, headers, body)
            return
        self.send_response(code)
        self._send_headers(headers)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the standard library's
        """Log a request where the rest is logged."""
        log.debug(format, *args)


class Server(ThreadedHTTPServer):
    """A server that takes many browsers, and does not care when one goes away."""

    request_queue_size = 128

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log what a connection ended with; a client that hung up is no news."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("the connection of %s broke", client_address, exc_info=error)

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])


def serve(app: Chalice, port: int, routes: Routes, around: Around) -> LocalDevServer:
    """Return a server for `app` and `routes` that listens already; raise OSError if the port is taken."""
    _one_request_per_thread(app)
    config = Config.create(chalice_app=app, app_name=app.app_name, chalice_stage="api")
    return LocalDevServer(
        app,
        config,
        HOST,
        port,
        handler_cls=partial(Handler, routes=routes, around=around),
        server_cls=Server,
    )


def _one_request_per_thread(app: Chalice) -> None:
    """Give each thread its own current_request, as `chalice local` does in create_local_server."""
    if not isinstance(app, LocalChalice):
        CustomLocalChalice.__bases__ = (LocalChalice, app.__class__)
        app.__class__ = CustomLocalChalice
