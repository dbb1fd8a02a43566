"""A deliberately bad server for the scanner zoo to find out: it decides by what no person meant."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx

CODE = "c0de-c0de"
FAULTS: dict[str, str] = {
    "head": "mail server",
    "get": "link checker",
    "query": "fragment mover",
    "post": "prober",
    "code": "form sender, code",
    "button": "button presser",
    "empty": "form sender, empty",
    "word": "form filler",
}
"""What each of these does to decide, and a visitor that must find it out."""
ASKS_FOR_CODE = '<form method="post" action="/link"><input name="code"><button>Show</button></form>'
BUTTONS = (
    '<form method="post" action="/link"><input type="hidden" name="code" value="{code}">'
    '<button name="answer" value="yes">Approve</button></form>'
)
SCRIPT = '<script>fetch("/link", {method: "POST", body: "code=" + location.hash.slice(1)})</script>'


class Careless:
    """One link, with one fault; with the fault `none` it shows what it is for, and decides nothing."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.decided = False

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer as `httpx.MockTransport` asks."""
        body = self.answer(request.method, str(request.url), request.read().decode("utf-8", "replace"))
        return httpx.Response(200, html=body)

    def answer(self, method: str, url: str, body: str) -> str:
        """Return a page, having decided or not."""
        there, sent = urlsplit(url), {name: values[0] for name, values in parse_qs(body).items()}
        if there.path == "/state":
            return f"decided: {self.decided}"
        decides = {
            "head": method == "HEAD",
            "get": method == "GET",
            "query": CODE in there.query,
            "post": method == "POST" and CODE in body,
            "code": sent.get("code") == CODE,
            "button": sent.get("code") == CODE and sent.get("answer") == "yes",
            "empty": method == "POST" and "code" not in sent,
            "word": sent.get("code") == CODE and "comment" in sent,
            "script": method == "POST" and sent.get("code") == CODE,
        }
        self.decided = self.decided or decides.get(self.fault, False)
        if self.decided:
            return "<h1>Thank you: it is approved</h1>"
        if self.fault == "script" and method == "GET":
            return SCRIPT
        if self.fault == "empty":
            return '<form method="post" action="/link"><button>Approve</button></form>'
        if sent.get("code") == CODE:
            asks = '<form method="post"><input type="hidden" name="code" value="{code}"><input name="comment"></form>'
            return "What it is for: a page. " + (asks if self.fault == "word" else BUTTONS).format(code=CODE)
        return ASKS_FOR_CODE
