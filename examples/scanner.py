"""A system that decides a hook: it hears of a gate by webhook, says how far it is, and lets pass or fails.

    pip install httpx standardwebhooks
    SECRET=whsec_... python examples/scanner.py          # the secret of its webhook; PORT=9000

In gates.toml a gate of kind "hook"; in people.toml a service with this webhook; in policies.cedar a permit to
`approve` the gate. Here whatever costs more than LIMIT a month fails. docs/hooks.md tells the whole of it.
"""

from __future__ import annotations

import json
import os
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = os.environ["SECRET"]
PORT = int(os.environ.get("PORT", "9000"))
LIMIT = Decimal(os.environ.get("LIMIT", "1000"))
LARGEST = 1024 * 1024


class Scanner(BaseHTTPRequestHandler):
    """Takes signed webhooks, and answers at once: what takes time is done after the answer."""

    def do_POST(self) -> None:
        """Take one webhook; what is not signed by gonogo is none of ours."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), LARGEST))
        try:
            told = Webhook(SECRET).verify(body, {name.lower(): value for name, value in self.headers.items()})
        except (WebhookVerificationError, ValueError):  # ValueError: what should be base64 is none
            self.answer(401)
            return
        self.answer(204)
        data = told["data"]
        if told["type"] == "notice.decide" and data.get("token"):
            threading.Thread(target=decide, args=(data,)).start()

    def answer(self, status: int) -> None:
        """Answer with a status and nothing else."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def decide(data: dict[str, Any]) -> None:
    """Say how far it is, look at the launch, and decide by the token; asking twice changes nothing."""
    launch, decisions = (
        data["launch"],
        data["link"].split("decide#")[0].split("launches/")[0] + "v1/decisions",
    )
    say(decisions, {"token": data["token"], "note": f"Looking at {launch['template']}."})
    costs = Decimal(launch["price"]["monthly"])
    verdict = "pass" if costs <= LIMIT else "fail"
    comment = f"{costs} a month; {LIMIT} are allowed here."
    say(decisions, {"token": data["token"], "verdict": verdict, "comment": comment})
    print(f"{launch['id']}: {verdict}", flush=True)


def say(url: str, body: dict[str, Any]) -> None:
    """Post one answer, and say so if gonogo does not take it."""
    answer = httpx.post(url, json=body, timeout=30)
    if answer.is_error:
        print(json.dumps(answer.json()), flush=True)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Scanner).serve_forever()
