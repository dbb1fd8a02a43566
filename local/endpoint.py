"""The AWS endpoint of this machine: moto's server, over the same state as the clients in this process."""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local.routes import OWN_NAMES

HOST = "127.0.0.1"
BACKLOG = 128
POLL = 0.1

Start = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


class Endpoint:
    """Listens for AWS clients of this machine, and of no other."""

    def __init__(self, port: int) -> None:
        """Take the port; raise OSError if it is taken by somebody else."""
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        with listening(port) as bound:
            # werkzeug would end the process where it cannot bind, so it gets a socket that is bound
            self._server = make_server(
                HOST,
                port,
                guarded(DomainDispatcherApplication(create_backend_app)),
                threaded=True,
                request_handler=MotoRequestHandler,
                fd=bound.fileno(),
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL,), name="AWS endpoint", daemon=True
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def listening(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine; raise OSError if it is taken."""
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def guarded(application: Application) -> Application:
    """Let AWS clients in, and no web page: that has an Origin or Sec-Fetch-Site, or comes by another name."""

    def answer(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if may_enter(environ):
            return application(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]

    return answer


def may_enter(environ: Mapping[str, Any]) -> bool:
    """Tell whether a request comes from a program, or from the endpoint's own dashboard."""
    host = str(environ.get("HTTP_HOST", ""))
    name = host.rpartition(":")[0] or host
    if name not in OWN_NAMES and not name.endswith(".localhost"):  # a bucket is addressed as bucket.localhost
        return False
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        return False
    origin = str(environ.get("HTTP_ORIGIN", f"http://{host}"))
    return origin == f"http://{host}"
