"""Who may do what by which route, and what every answer carries: the whole table, not samples of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from openapi_spec_validator import validate

import app
from functions import api
from functions.bodies import Nothing
from functions.headers import from_elsewhere
from functions.openapi import OPERATIONS, document
from gonogo import __version__
from infra import routes
from infra.routes import Row
from tests.functions import matrix
from tests.functions.faults import on_each_call, refusing
from tests.functions.matrix import ASK, FILES, each_cell
from tests.functions.policy import ANOTHER_DEVELOPER, policy
from tests.functions.world import Answer, World, example, world

Cells = dict[Row, dict[str, Answer]]


@pytest.fixture(scope="module", name="called")
def every_cell() -> Cells:
    """Return what each route answered to each role, of a launch in the situation that its row names."""
    with world(FILES) as made:
        return each_cell(made, list(routes.rows(routes.written())))


def each(called: Cells) -> Iterator[tuple[Row, str, Answer]]:
    """Yield every cell."""
    for row, cells in called.items():
        for role, answer in cells.items():
            yield row, role, answer


def test_every_route_has_a_row_and_an_action() -> None:
    """A route that nobody thought about when it was made is open or shut by accident."""
    assert (
        {(row.method, row.path) for row in routes.written()} == set(matrix.routes()) == set(routes.declared())
    )
    for row in routes.written():
        assert len(row.answers) == len(routes.ROLES), row
        assert all(one.isdigit() for one in row.answers), f"{row}: say what is expected in docs/routes.md"


def test_who_is_refused_has_written_nothing(called: Cells) -> None:
    """A refusal that has changed something on its way is none; and whoever only reads changes nothing either."""
    wrote = set()
    for row, role, answer in each(called):
        if answer.code >= 400 or row.method == "GET":
            assert answer.written == [], (row, role, answer.code, answer.written)
        elif answer.written:
            wrote.add(row.path)
    assert len(wrote) > 12


def test_each_role_gets_what_the_table_says(called: Cells) -> None:
    """Each route times each role, with nothing left to chance: docs/routes.md says what is expected.

    After a change that is meant, write it with `GOLDEN=write`, and read the difference before a commit.
    """
    found = [
        msgspec.structs.replace(row, answers=tuple(str(cells[role].code) for role in routes.ROLES))
        for row, cells in called.items()
    ]
    if os.environ.get("GOLDEN") == "write":
        routes.PAGE.write_text(routes.page(found))
    assert found == routes.written()


def test_the_table_is_what_each_action_promises() -> None:
    """Nobody reads or changes anything without a good token, whatever stands in the table by mistake."""
    for row in routes.written():
        action = routes.declared()[row.method, row.path]
        answers = dict(zip(routes.ROLES, row.answers, strict=True))
        if action in app.OPEN:
            assert len(set(row.answers)) == 1, f"{row}: who is not signed in is nobody, whoever they are"
        else:
            assert (answers["nobody"], answers["forged"], answers["stranger"]) == ("401", "401", "403"), row
        if action == "decide":
            assert (answers["requester"], answers["self"]) == ("403", "403"), row
        if action in ("own", "run"):
            assert [answers[role] for role in ("developer", "approver", "service")] == ["403"] * 3, row
            assert (answers["operator"] == "403") == (action == "own"), row


@pytest.mark.parametrize(
    ("method", "action"),
    [("GET", "own"), ("POST", "read"), ("POST", "public"), ("POST", ""), ("PUT", "else")],
)
def test_a_route_without_a_fitting_action_does_not_start(method: str, action: str) -> None:
    """What a route lets its caller do is said where it is made, or there is no such route."""
    board = app.Switchboard("other")
    with pytest.raises(ValueError, match="is no action of this method"):
        board.route("/x", methods=[method], action=action)
    with pytest.raises(ValueError, match="is no action of this method"):
        board.route("/x", methods=[method])
    assert board.routes == {}


def test_a_room_that_forgets_to_ask_who_is_there_is_still_shut() -> None:
    """Where somebody must be signed in, a request without a bearer never reaches the room."""
    board = app.Switchboard("other")
    reached: list[int] = []

    def room() -> dict[str, int]:
        reached.append(1)
        return {}

    board.route("/x", methods=["GET"], action="read")(room)
    event = {
        "requestContext": {"httpMethod": "GET", "resourcePath": "/x", "identity": {}, "path": "/x"},
        "headers": {},
        "pathParameters": {},
        "stageVariables": {},
        "multiValueQueryStringParameters": None,
        "body": None,
        "isBase64Encoded": False,
    }
    for nothing in (dict[str, str](), None):
        assert Answer(board({**event, "headers": nothing}, None)).code == 401
    assert reached == []
    assert Answer(board({**event, "headers": {"Authorization": "Bearer x"}}, None)).code == 200
    assert reached == [1]


def test_who_is_refused_hears_why(called: Cells) -> None:
    """401 says how to sign in, 403 says what is missing, and each is a problem of the one shape."""
    for row, role, answer in each(called):
        if answer.code >= 400 and not matrix.takes_a_form(row.method, row.path):
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json.keys() >= {"type", "title", "status", "detail"}
            assert answer.json["detail"]
        if answer.code == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
        if role == "stranger" and answer.code == 403:
            assert "knows nobody" in answer.json["detail"]


HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def assert_safe(answer: Answer) -> None:
    """Assert that an answer may be neither kept, framed, sniffed nor made to load anything."""
    assert HEADERS.items() <= answer.headers.items()
    directives = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(directives)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_carries_the_headers(called: Cells) -> None:
    """Pages, JSON, and refusals of whichever layer: one set of headers."""
    for _, _, answer in each(called):
        assert_safe(answer)


def test_refusals_of_the_framework_carry_them_too(world: World) -> None:
    """What never reaches our own code is answered in our form all the same."""
    refusals = {
        405: world.call("PUT", "/v1/launches", ASK, who="dev"),
        415: world.call("POST", "/v1/launches", who="dev", raw=b"x", headers={"content-type": "text/csv"}),
        413: world.call("POST", "/v1/launches", who="dev", raw=b"x" * 300_000),
        400: world.call("POST", "/v1/launches", who="dev", raw=b"["),
    }
    assert set(refusals[405].headers["allow"].split(", ")) == {"GET", "POST"}
    for code, answer in refusals.items():
        assert (answer.code, answer.headers["content-type"]) == (code, "application/problem+json")
        assert_safe(answer)


FROM_ELSEWHERE = (
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "else"},
    {"sec-fetch-site": ""},
    {"origin": "https://elsewhere.example"},
    {"origin": "http://gonogo.test.elsewhere.example"},
    {"origin": "http://gonogo.test:81"},
    {"origin": "http://nogo.test"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "gonogo.test"},
    {"origin": "https://elsewhere.example", "sec-fetch-site": "same-origin"},
    {"origin": "http://gonogo.test", "sec-fetch-site": "cross-site"},
    {"origin": "null", "sec-fetch-site": "cross-site"},
)
FROM_HERE: tuple[dict[str, str], ...] = (
    {},
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"origin": "http://gonogo.test"},
    {"origin": "null", "sec-fetch-site": "same-origin"},
    {"origin": "http://gonogo.test", "sec-fetch-site": "same-origin"},
)


def test_no_form_is_taken_from_another_site(world: World) -> None:
    """A page elsewhere that knows a code could have it decided by whoever comes along, with their address.

    `Origin: null` comes from a page without a referrer, as ours are, and from any that hides where it is.
    """
    launch = world.ask()
    code = matrix.code_of(world, launch)
    sent = {"code": code, "digest": launch["digest"], "answer": "GO"}
    forms = [(method, path) for method, path in matrix.routes() if matrix.takes_a_form(method, path)]
    assert forms
    for _, path in forms:
        before = world.rows()
        for headers in FROM_ELSEWHERE:
            for fields in ({"code": code}, sent):
                refused = world.form(path, {"host": "gonogo.test", **headers}, **fields)
                assert refused.code == 403, (path, headers)
                assert launch["id"] not in refused.text
                assert_safe(refused)
        assert world.rows() == before
        for headers in FROM_HERE:
            taken = world.form(path, {"host": "gonogo.test", **headers}, **sent)
            assert taken.code != 403, (path, headers)


@pytest.mark.parametrize("origin", ["", "null", "file://", "gonogo.test", "about:blank"])
def test_who_is_nowhere_is_elsewhere(origin: str) -> None:
    """Where nobody has said what our own address is, that is not to be the address of everybody without one."""
    for host in ({}, {"host": ""}, {"host": "gonogo.test"}):
        assert from_elsewhere({"origin": origin, **host}, "/")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_only_reads_changes_nothing(world: World, method: str) -> None:
    """Scanners, previews and browsers fetch every link, often; nothing is decided by that."""
    launch = world.ask()
    world.settle()
    code = world.token("lead")
    before, mails = world.rows(), len(world.mails())
    for path in [*app.app.routes, "/decide?" + code, f"/decide?code={code}&answer=GO"]:
        for who in (None, "lead"):
            for _ in range(10):
                answer = world.call(method, path.replace("{id}", launch["id"]), who=who)
                assert answer.code < 500
    world.settle()
    assert (world.rows(), len(world.mails())) == (before, mails)


def test_notices_that_failed_come_in_pages(world: World) -> None:
    """Whoever mends a sender must find all that it lost, not the newest of them over and over."""
    with on_each_call(before=refusing("sesv2.SendEmail", "BadRequestException")):
        for _ in range(3):
            world.ask()
            world.settle()
    found = paged(world, "/v1/deliveries?", "ops", 2)
    assert len(found) == len({one["id"] for one in found}) == 3


def test_whoever_restores_the_table_is_told_when_launches_go_on(world: World) -> None:
    """Nothing is launched in a new epoch until it is known what the old one made."""
    told = {"state": "ok", "version": __version__, "epoch": 1, "launching": True}
    assert world.call("GET", "/healthz").json == told
    world.gonogo.settings = msgspec.structs.replace(world.gonogo.settings, epoch=2)
    vars(world.gonogo).pop("passed", None)
    assert world.call("GET", "/healthz").json == {**told, "epoch": 2, "launching": False}


@pytest.mark.parametrize("said", [b'{"force": true}', b"[]", b"null", b"true"])
def test_what_needs_no_words_takes_none(world: World, said: bytes) -> None:
    """Who says more than a command may hear meant something by it that would not be done."""
    launch = world.ask()
    world.settle()
    before = world.rows()
    silent = [one for one in OPERATIONS if one.body is Nothing]
    assert len(silent) > 4
    for one in silent:
        url = one.path.replace("{id}", launch["id"])
        assert world.call(one.method.upper(), url, who="dev", raw=said).code == 400, url
    assert world.rows() == before


def test_running_things_are_changed_by_few(world: World) -> None:
    """Stop, start and terminate are for the requester and operators, not for approvers or colleagues."""
    world.publish(policy(ANOTHER_DEVELOPER))
    launch = world.ask()
    world.decide(launch, "lead", "lead")
    world.settle()
    before = world.rows()
    for command in ("stop", "start", "terminate"):
        for who in ("nobody", "lead", "finance", "eve", None):
            answer = world.call("POST", f"/v1/launches/{launch['id']}/{command}", {}, who=who)
            assert answer.code == (401 if who is None else 403)
    assert world.rows() == before
    assert world.call("POST", f"/v1/launches/{launch['id']}/terminate", {}, who="ops").code == 202


def test_who_may_launch_it_may_end_it_and_no_more(world: World) -> None:
    """An operator who may launch small things only has no say over what is dear."""
    files = policy(
        rules='@id("ops launch small") forbid (principal in Group::"operators", action == Action::"launch",'
        ' resource == Template::"gpu-large");'
    )
    world.publish(files)
    dear, small = world.ask(template="gpu-large"), world.ask()
    for launch, gates in ((dear, ("lead", "finance")), (small, ("lead",))):
        for gate in gates:
            world.decide(launch, gate, gate)
    world.settle()
    codes = [
        world.call("POST", f"/v1/launches/{one['id']}/terminate", {}, who="ops").code for one in (dear, small)
    ]
    assert codes == [403, 202]


WEIRD_QUERIES = (
    "limit=0",
    "limit=101",
    "limit=-1",
    "limit=1.0",
    "limit=",
    "limit=%D9%A3",
    "limit=" + "9" * 5000,
    "limit=000000001" + "9" * 20,
    "limit=1&limit=2",
    "cursor=%00",
    "cursor=!!!!",
    "cursor=%F0%9F%9A%80",
    "cursor=" + "QUFB" * 1000,
    "offset=1",
    "state=open",
    "state=running",
    "requester=lead",
    "requester=%23",
    "requester=http://x%23",
    "requester=http://x%23" + "y" * 3000,
    "requester=me&state=RUNNING",
)


def test_no_query_is_an_error_of_ours(world: World) -> None:
    """A list that is asked for in a wrong way says so; it neither fails nor gives more than it may."""
    for query in WEIRD_QUERIES:
        answer = world.call("GET", f"/v1/launches?{query}", who="dev")
        assert (answer.code, answer.headers["content-type"]) == (400, "application/problem+json"), query[:80]
        assert answer.json["errors"]


def test_no_launch_id_is_an_error_of_ours(world: World) -> None:
    """Whatever stands where an id stands, there is no such launch."""
    world.ask()
    ids = (
        "x",
        "l-",
        "l-" + "A" * 32,
        "L-" + "a" * 32,
        "x" * 3000,
        "%00",
        "..",
        "%2e%2e",
        "l-%0a",
        "launch%23x",
        "\u00e9",
    )
    asked: list[int] = []

    def keys(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "dynamodb.GetItem":
            asked.append(len(parameters["Key"]["pk"]["S"].encode()))

    with on_each_call(before=keys):
        for one in ids:
            for path in (f"/v1/launches/{one}", f"/v1/launches/{one}/events"):
                assert world.call("GET", path, who="dev").code == 404, path
            assert world.call("POST", f"/v1/launches/{one}/cancel", {}, who="dev").code == 404
            assert world.call("GET", f"/launches/{one}").code == 200
    assert max(asked) <= 2048  # DynamoDB refuses to look for a longer key, which moto does not


def paged(world: World, path: str, who: str, limit: int) -> list[Any]:
    """Return what a list has, read page by page."""
    seen: list[Any] = []
    cursor = ""
    while True:
        page = world.call("GET", f"{path}limit={limit}{cursor}", who=who).json
        assert len(page["items"]) <= limit
        seen += page["items"]
        if page["cursor"] is None:
            return seen
        assert len(seen) < 100, "it goes round and round"
        cursor = f"&cursor={page['cursor']}"


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_lists_come_in_pages(world: World, limit: int) -> None:
    """Every launch is on one page, the newest first, by a cursor that says nothing to whoever holds it."""
    made = []
    for _ in range(7):
        made.append(world.ask()["id"])
        world.clock.go(minutes=1)
        world.settle()
    made.reverse()
    for path, who in (
        ("/v1/launches?", "dev"),
        ("/v1/launches?requester=http://gonogo.local%23dev&", "lead"),
        ("/v1/launches?state=PENDING_APPROVAL&", "lead"),
    ):
        assert [one["id"] for one in paged(world, path, who, limit)] == made, path
    assert [one["launch"]["id"] for one in paged(world, "/v1/inbox?", "lead", limit)] == made
    assert world.call("GET", "/v1/launches?state=RUNNING", who="lead").json == {"items": [], "cursor": None}
    assert world.call("GET", "/v1/launches", who="lead").json["items"] == []


def test_the_policy_is_shown_without_addresses(world: World) -> None:
    """Who decides is for everybody whom policy knows; where they are reached is not."""
    for path in ("/v1/policy", "/v1/templates"):
        answer = world.call("GET", path, who="dev")
        assert "example.com" not in answer.text
    policy_ = world.call("GET", "/v1/policy", who="dev").json
    assert policy_["policies"] == example()["policies.cedar"]
    assert [gate["name"] for gate in policy_["gates"]] == ["lead", "finance", "review", "policy"]


@pytest.mark.parametrize("end", ["", "a", "/../x", "%0A"])
def test_a_policy_is_found_by_its_digest_and_by_no_more(world: World, end: str) -> None:
    """What is no digest is no name of anything that is kept."""
    answer = world.call("GET", f"/v1/policy?bundle={'0' * 64}{end}", who="dev")
    assert answer.code == (400 if end else 404), answer.text


# The API's own description


def test_the_description_names_every_route_and_no_other(called: Cells) -> None:
    """Who writes a client from the description misses nothing, and calls nothing that is not there."""
    described = next(answer for row, _, answer in each(called) if row.path == "/openapi.json").json
    assert {
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    } == set(matrix.routes())


def test_the_description_is_openapi(called: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generators of clients take it as it is."""
    # openapi-spec-validator 0.9 calls a function that jsonschema-rs has under no such name
    monkeypatch.setenv("OPENAPI_SPEC_VALIDATOR_SCHEMA_VALIDATOR_BACKEND", "jsonschema")
    validate(next(answer for row, _, answer in each(called) if row.path == "/openapi.json").json)


def schema_for(method: str, path: str, status: int) -> Any:
    """Return the JSON Schema of a JSON answer, whole; None where the answer is no JSON."""
    made = document()
    answers = made["paths"][path][method.lower()]["responses"]
    assert str(status) in answers, f"{method} {path} answers {status}, which is not described"
    kinds = answers[str(status)].get("content", {})
    (content,) = kinds.values()
    if "schema" not in content:
        return None
    return {**content["schema"], "components": made["components"]}


def test_every_answer_is_as_described(called: Cells) -> None:
    """Each status of each route is in the description, and each body is of the type that is given there."""
    for row, role, answer in each(called):
        schema = schema_for(row.method, row.path, answer.code)
        if schema is None:
            assert answer.headers["content-type"].startswith(("text/html", "image/svg+xml"))
            continue
        jsonschema_rs.validator_for(schema).validate(answer.json)
        name = schema.get("$ref", "").rpartition("/")[2]
        if name:
            assert set(answer.json) <= set(schema["components"]["schemas"][name]["properties"]), (
                row,
                role,
            )


def test_answers_of_a_launch_that_has_lived_are_as_described(world: World) -> None:
    """What is null in a new launch is there in an old one, and the types hold then too."""
    launch = world.ask(template="gpu-large", name="train", parameters={"count": 2})
    world.settle()
    (inbox, page, dry) = (
        world.call("GET", "/v1/inbox", who="lead"),
        world.call("GET", "/v1/launches", who="dev"),
        world.call("POST", "/v1/launches?dry_run=true", ASK, who="dev"),
    )
    world.decide(launch, "lead", "lead", comment="go")
    world.decide(launch, "finance", "finance")
    world.settle()
    stopped = world.call("POST", f"/v1/launches/{launch['id']}/stop", {}, who="dev")
    found = {
        ("GET", "/v1/inbox"): inbox,
        ("GET", "/v1/launches"): page,
        ("POST", "/v1/launches"): dry,
        ("POST", "/v1/launches/{id}/stop"): stopped,
        ("GET", "/v1/launches/{id}"): world.call("GET", f"/v1/launches/{launch['id']}", who="dev"),
        ("GET", "/v1/launches/{id}/events"): world.call(
            "GET", f"/v1/launches/{launch['id']}/events", who="dev"
        ),
    }
    for (method, path), answer in found.items():
        jsonschema_rs.validator_for(schema_for(method, path, answer.code)).validate(answer.json)
    assert len(inbox.json["items"]) == len(page.json["items"]) == 1


def described() -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield every operation of the description, by method and path."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield (method.upper(), path), operation


def test_the_description_says_who_must_sign_in() -> None:
    """A client made from it sends a token where one is asked for, and waits where it is told to."""
    actions = routes.declared()
    for route, operation in described():
        signed_in = actions[route] not in app.OPEN
        assert operation["security"] == ([{"bearer": []}] if signed_in else []), route
        assert {"401", "403", "429"} <= operation["responses"].keys() or not signed_in, route


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("month", ["2026-11"], ["2026-13", "2026-111", "2026-11-01", "26-11"]),
        ("limit", [1, 100], [0, 101, "25"]),
        ("cost_center", ["4711"], ["=1", "a#b"]),
    ],
)
def test_the_description_says_what_a_query_may_be(
    name: str, taken: list[object], refused: list[object]
) -> None:
    """As the API reads it."""
    found = [one for _, operation in described() for one in operation["parameters"] if one["name"] == name]
    assert found
    for one in found:
        schema = jsonschema_rs.validator_for(one["schema"])
        assert [value for value in (*taken, *refused) if schema.is_valid(value)] == taken
        assert one["schema"].get("default", api.ITEMS) == api.ITEMS


def test_the_description_has_each_answer_that_goes_well() -> None:
    """What is accepted now, and becomes of it later, are two answers; a form says what it must have."""
    for one in OPERATIONS:
        made = document()["paths"][one.path][one.method]
        wanted = {one.success, one.also, 200 if "dry_run" in one.query else None} - {None}
        assert {int(code) for code in made["responses"] if code < "300"} == wanted, one.path
        form = made.get("requestBody", {}).get("content", {}).get(matrix.FORM)
        assert form is None or form["schema"]["required"] == ["code"]
    assert any(one.also for one in OPERATIONS)


def test_the_description_refuses_what_the_api_refuses(world: World) -> None:
    """A client that validates by the description sends nothing that we call unknown."""
    made = document()
    for body in (
        "Submit",
        "Decide",
        "DecideByToken",
        "Nothing",
        "Amend",
        "MakeOffer",
        "Accept",
        "MakeNote",
        "Delegate",
        "PutPolicy",
    ):
        schema = made["components"]["schemas"][body]
        assert schema["additionalProperties"] is False
    validator = jsonschema_rs.validator_for(
        {"$ref": "#/components/schemas/Submit", "components": made["components"]}
    )
    validator.validate(ASK)
    for wrong in ({**ASK, "cost_center": "marketing\n"}, {**ASK, "name": "a\nb"}, {**ASK, "gates": []}, {}):
        assert not validator.is_valid(wrong)
        assert world.call("POST", "/v1/launches", raw=json.dumps(wrong).encode(), who="dev").code == 400
