"""The switchboard: every route and every function, each importing its room only when it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chalice import Chalice

JSON = ["application/json"]
FORM = ["application/x-www-form-urlencoded"]

ACTIONS = {
    "public": "anybody; it knows nothing of any launch",
    "token": "whoever holds the code of a gate",
    "read": "everybody whom policy knows",
    "submit": "whom policy lets ask for it, or launch it",
    "decide": "whom policy lets approve the gate, but for whoever asked or amended",
    "note": "the system that decides the hook",
    "redeliver": "whom it is for, whoever asked, and who may launch it at once",
    "report": "the outside system that the plan names",
    "own": "whoever asked",
    "run": "whoever asked, and who may launch it at once",
    "delegate": "oneself, and whom policy lets do it for others",
    "policy": "whom policy lets change it",
}
"""What a route does, and who may. Each route declares one, or nothing starts; docs/routes.md has the answers."""
READING = frozenset({"public", "read"})
OPEN = frozenset({"public", "token"})
"""The actions for which nobody signs in."""


class Switchboard(Chalice):
    """Chalice, which takes no route without an action, and answers its own refusals as problems like all others."""

    def __init__(self, app_name: str) -> None:
        super().__init__(app_name=app_name)
        self.actions: dict[tuple[str, str], str] = {}

    def route(
        self, path: str, *, action: str = "", methods: Sequence[str] = ("GET",), **more: Any
    ) -> Callable[..., Any]:
        """Register a route under its action.

        Raises:
            ValueError: there is none, or it is none for the method: what only reads is GET, and GET only reads.
        """
        for method in methods:
            if action not in ACTIONS or (method == "GET") != (action in READING):
                raise ValueError(f"{method} {path}: {action!r} is no action of this method")
            self.actions[method, path] = action
        registered: Callable[..., Any] = super().route(path, methods=list(methods), **more)
        return registered

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one request; one without a bearer reaches no route where somebody must be signed in."""
        asked = event["requestContext"]
        action = self.actions.get((asked["httpMethod"], asked["resourcePath"]), "public")
        if action not in OPEN and not any(name.lower() == "authorization" for name in event["headers"] or ()):
            from functions import refusals

            return refusals.not_signed_in()
        answer: dict[str, Any] = super().__call__(event, context)
        ours = any(
            kind in str(answer.get("headers", {})) for kind in ("application/problem+json", "text/html")
        )
        if answer["statusCode"] >= 400 and not ours:  # noqa: PLR2004
            from functions import refusals

            return refusals.as_problem(answer)
        return answer


app = Switchboard(app_name="gonogo")
app.api.cors = False
app.log.setLevel("WARNING")  # it is our own logger too, and Chalice lets nothing below ERROR into the log


def _api() -> Any:
    from functions import api

    return api


def _usage() -> Any:
    from functions import usage

    return usage


def _pages() -> Any:
    from functions import pages

    return pages


def _signed_in() -> Any:
    from functions import signed_in

    return signed_in


@app.route("/v1/launches", methods=["POST"], action="submit", content_types=JSON)
def submit() -> Any:
    """Ask for a launch."""
    return _api().submit_launch(app.current_request)


@app.route("/v1/launches", methods=["GET"], action="read")
def launches() -> Any:
    """List launches."""
    return _api().list_launches(app.current_request)


@app.route("/v1/launches/{id}", methods=["GET"], action="read")
def launch_by_id(id: str) -> Any:  # noqa: A002
    """Read a launch."""
    return _api().get_launch(app.current_request, id)


@app.route("/v1/launches/{id}/events", methods=["GET"], action="read")
def events(id: str) -> Any:  # noqa: A002
    """Read a launch's history."""
    return _api().list_events(app.current_request, id)


@app.route("/v1/launches/{id}/decisions", methods=["POST"], action="decide", content_types=JSON)
def decisions(id: str) -> Any:  # noqa: A002
    """Decide, signed in."""
    return _api().decide_launch(app.current_request, id)


@app.route("/v1/launches/{id}/notes", methods=["POST"], action="note", content_types=JSON)
def notes(id: str) -> Any:  # noqa: A002
    """Say how far a hook is, signed in."""
    return _api().note_launch(app.current_request, id)


@app.route("/v1/launches/{id}/amend", methods=["POST"], action="own", content_types=JSON)
def amend(id: str) -> Any:  # noqa: A002
    """Ask for something else instead."""
    return _api().amend_launch(app.current_request, id)


@app.route("/v1/launches/{id}/offers", methods=["POST"], action="decide", content_types=JSON)
def offers(id: str) -> Any:  # noqa: A002
    """Offer to say go to less."""
    return _api().offer_launch(app.current_request, id)


@app.route("/v1/launches/{id}/accept", methods=["POST"], action="own", content_types=JSON)
def accept(id: str) -> Any:  # noqa: A002
    """Accept an offer."""
    return _api().accept_offer(app.current_request, id)


@app.route("/v1/launches/{id}/why", methods=["GET"], action="read")
def why(id: str) -> Any:  # noqa: A002
    """Say why a launch waits."""
    return _api().why_launch(app.current_request, id)


@app.route("/v1/launches/{id}/diff", methods=["GET"], action="read")
def diff(id: str) -> Any:  # noqa: A002
    """Show what a change of policy changes."""
    return _api().diff_launch(app.current_request, id)


@app.route("/v1/launches/{id}/cancel", methods=["POST"], action="own", content_types=JSON)
def cancel(id: str) -> Any:  # noqa: A002
    """Cancel a launch."""
    return _api().change_launch(app.current_request, id, "cancel")


@app.route("/v1/launches/{id}/retry", methods=["POST"], action="own", content_types=JSON)
def retry(id: str) -> Any:  # noqa: A002
    """Retry a launch that failed."""
    return _api().change_launch(app.current_request, id, "retry")


@app.route("/v1/launches/{id}/stop", methods=["POST"], action="run", content_types=JSON)
def stop(id: str) -> Any:  # noqa: A002
    """Stop a launch."""
    return _api().change_launch(app.current_request, id, "stop")


@app.route("/v1/launches/{id}/start", methods=["POST"], action="run", content_types=JSON)
def start(id: str) -> Any:  # noqa: A002
    """Start a launch that is stopped."""
    return _api().change_launch(app.current_request, id, "start")


@app.route("/v1/launches/{id}/terminate", methods=["POST"], action="run", content_types=JSON)
def terminate(id: str) -> Any:  # noqa: A002
    """Terminate a launch."""
    return _api().change_launch(app.current_request, id, "terminate")


@app.route("/v1/launches/{id}/extend", methods=["POST"], action="run", content_types=JSON)
def extend(id: str) -> Any:  # noqa: A002
    """Let a launch run for longer."""
    return _api().extend_launch(app.current_request, id)


@app.route("/v1/launches/{id}/report", methods=["POST"], action="report", content_types=JSON)
def report(id: str) -> Any:  # noqa: A002
    """Say, as an outside system, what became of a launch."""
    return _api().report_launch(app.current_request, id)


@app.route("/v1/decisions", methods=["POST"], action="token", content_types=JSON)
def decisions_by_token() -> Any:
    """Decide by token."""
    return _api().decide_by_token(app.current_request)


@app.route("/v1/usage", methods=["GET"], action="read")
def usage() -> Any:
    """List usage records."""
    return _usage().list_usage(app.current_request)


@app.route("/v1/usage/summary", methods=["GET"], action="read")
def usage_summary() -> Any:
    """Add usage up by day."""
    return _usage().sum_usage(app.current_request)


@app.route("/v1/usage/chart", methods=["GET"], action="read")
def usage_chart() -> Any:
    """Draw usage by day."""
    return _usage().draw_usage(app.current_request)


@app.route("/v1/reports/{name}", methods=["GET"], action="read")
def reports(name: str) -> Any:
    """Report what ran, or did not, otherwise than approved."""
    return _usage().report(app.current_request, name)


@app.route("/v1/inbox", methods=["GET"], action="read")
def inbox() -> Any:
    """List what waits for whoever asks."""
    return _api().inbox(app.current_request)


@app.route("/v1/deliveries", methods=["GET"], action="read")
def deliveries() -> Any:
    """List notices that could not be sent."""
    return _api().list_deliveries(app.current_request)


@app.route("/v1/launches/{id}/deliveries", methods=["GET"], action="read")
def deliveries_of(id: str) -> Any:  # noqa: A002
    """List the notices of a launch."""
    return _api().launch_deliveries(app.current_request, id)


@app.route("/v1/deliveries/{id}/redeliver", methods=["POST"], action="redeliver", content_types=JSON)
def redeliver(id: str) -> Any:  # noqa: A002
    """Have a notice sent again."""
    return _api().redeliver(app.current_request, id)


@app.route("/v1/templates", methods=["GET"], action="read")
def templates() -> Any:
    """List what may be asked for."""
    return _api().list_templates(app.current_request)


@app.route("/v1/policy", methods=["GET"], action="read")
def policy() -> Any:
    """Read the policy."""
    return _api().get_policy(app.current_request)


@app.route("/v1/policy", methods=["PUT"], action="policy", content_types=JSON)
def put_policy() -> Any:
    """Ask for another policy."""
    return _api().put_policy(app.current_request)


@app.route("/v1/delegation", methods=["GET"], action="read")
def get_delegation() -> Any:
    """Tell who decides in somebody's place."""
    return _api().get_delegation(app.current_request)


@app.route("/v1/delegation", methods=["PUT"], action="delegate", content_types=JSON)
def put_delegation() -> Any:
    """Say who decides in somebody's place."""
    return _api().put_delegation(app.current_request)


@app.route("/v1/delegation", methods=["DELETE"], action="delegate")
def end_delegation() -> Any:
    """End what somebody delegates."""
    return _api().end_delegation(app.current_request)


@app.route("/healthz", methods=["GET"], action="public")
def healthz() -> Any:
    """Tell that it answers."""
    return _api().health()


@app.route("/openapi.json", methods=["GET"], action="public")
def openapi() -> Any:
    """Describe the API."""
    return _api().openapi()


@app.route("/decide", methods=["GET"], action="public")
def decide_form() -> Any:
    """Ask for a code."""
    return _pages().form()


@app.route("/decide", methods=["POST"], action="token", content_types=FORM)
def decide() -> Any:
    """Show what a code is for, or decide."""
    return _pages().decide(app.current_request)


@app.route("/launches/{id}", methods=["GET"], action="public")
def pointer(id: str) -> Any:  # noqa: A002
    """Where a pointer leads."""
    return _pages().pointer(id)


@app.route("/home", methods=["GET"], action="public")
def home_page() -> Any:
    """Show what waits for whoever signs in."""
    request: Any = app.current_request
    return _signed_in().home(request.context["path"])


@app.route("/usage", methods=["GET"], action="public")
def usage_page() -> Any:
    """Show what a month cost."""
    request: Any = app.current_request
    return _signed_in().usage(request.context["path"])


@app.route("/", methods=["GET"], action="public")
def front() -> Any:
    """Show the front page."""
    request: Any = app.current_request
    return _pages().landing(request.context["path"])


@app.lambda_function(name="publish")
def publish(event: dict[str, Any], _context: object) -> Any:
    """Table stream to bus."""
    from functions import publish as room

    return room.handle(event)


@app.lambda_function(name="notify")
def notify(event: dict[str, Any], _context: object) -> Any:
    """Events to mail."""
    from functions import notify as room

    return room.handle(event)


@app.lambda_function(name="deliver")
def deliver(event: dict[str, Any], _context: object) -> Any:
    """Events to webhooks."""
    from functions import deliver as room

    return room.handle(event)


@app.lambda_function(name="launch")
def launch(event: dict[str, Any], _context: object) -> Any:
    """Launch what is cleared."""
    from functions import launch as room

    return room.handle(event)


@app.lambda_function(name="observe")
def observe(event: dict[str, Any], _context: object) -> Any:
    """EC2 state changes to instances."""
    from functions import observe as room

    return room.handle(event)


@app.lambda_function(name="wake")
def wake(_event: dict[str, Any], _context: object) -> Any:
    """Do what time asks for."""
    from functions import wake as room

    return room.handle()


@app.lambda_function(name="anchor")
def anchor(event: dict[str, Any], _context: object) -> Any:
    """Events to where nobody can change them."""
    from functions import anchor as room

    return room.handle(event)
