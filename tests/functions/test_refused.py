"""What is refused when somebody asks, with which words, and that it leaves nothing behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from app import app
from functions import problem, refusals, strict
from functions.bodies import LaunchView, Submit
from functions.openapi import document
from gonogo.core.errors import (
    Fault,
    GonogoError,
    InvalidError,
    IssuerUnavailableError,
    RefusedError,
    TransitionNotAllowedError,
)
from tests.functions.matrix import body_of
from tests.functions.world import ISSUER, Answer, World, world

PATH = "/v1/launches"
GOOD = {"template": "web-small", "reason": "a page for the fair", "cost_center": "marketing"}
LEAD = {"issuer": ISSUER, "subject": "lead"}


class Closed:
    """A world in which nothing may change, so that many tests may look at the same one."""

    def __init__(self, made: World) -> None:
        self.world = made
        self._before = made.rows()

    def post(self, raw: bytes, query: str = "", who: str = "dev", **headers: str) -> Answer:
        """Post a body as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._before = self.world.rows()
        answer = self.world.call("POST", PATH + query, who=who, raw=raw, headers=sent)
        assert self.world.rows() == self._before
        return answer

    def refuses(self, answer: Answer, code: int) -> Any:
        """Assert that this is a problem with that code, and return it."""
        assert (answer.code, answer.headers["content-type"]) == (code, "application/problem+json"), (
            answer.text
        )
        problem = answer.json
        assert problem["status"] == code
        assert problem["type"].startswith("urn:gonogo:problem:")
        assert self.world.rows() == self._before
        return problem


@pytest.fixture(scope="module", name="closed")
def one_closed_world() -> Iterator[Closed]:
    """Give a world that each test leaves as it was."""
    with world() as made:
        yield Closed(made)


def text(**changed: Any) -> bytes:
    """Return the good body, changed, as JSON."""
    return json.dumps({**GOOD, **changed}).encode()


def with_raw(name: str, raw: str) -> bytes:
    """Return the good body with one more member, whose value is written just so."""
    return text()[:-1] + f', "{name}": {raw}}}'.encode()


MALFORMED = {
    "a key twice": with_raw("reason", '"another reason"'),
    "a key twice, inside": with_raw("parameters", '{"count": 1, "count": 1}'),
    "a key twice, spelled otherwise": with_raw(r"re\u0061son", '"another reason"'),
    "NaN": with_raw("parameters", '{"count": NaN}'),
    "Infinity": with_raw("parameters", '{"count": Infinity}'),
    "-Infinity": with_raw("parameters", '{"count": -Infinity}'),
    "1e999": with_raw("parameters", '{"count": 1e999}'),
    "-1e999": with_raw("parameters", '{"count": -1e999}'),
    "an integer of 5,000 digits": with_raw("parameters", '{"count": ' + "1" * 5000 + "}"),
    "an integer that no double holds": with_raw("parameters", '{"count": 9007199254740993}'),
    "100,000 opening brackets": b"[" * 100_000,
    "50,000 opening braces": b'{"a":' * 50_000,
    "33 deep": with_raw("parameters", '{"count": ' + "[" * 33 + "]" * 33 + "}"),
    "nothing": b"",
    "blanks": b"  \n",
    "two values": text() + text(),
    "a trailing comma": text()[:-1] + b",}",
    "a comment": text() + b" // please",
    "single quotes": text().replace(b'"', b"'"),
    "a list": b"[]",
    "a string": b'"web-small"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a byte order mark": b"\xef\xbb\xbf" + text(),
    "UTF-16": text().decode().encode("utf-16"),
    "Latin-1": json.dumps({**GOOD, "reason": "f\u00fcr"}, ensure_ascii=False).encode("latin-1"),
    "an overlong slash": text().replace(b"fair", b"f\xc0\xaf"),
    "a lone surrogate": with_raw("name", r'"\ud800"'),
    "a lone surrogate in a key": with_raw("parameters", r'{"\udfff": 1}'),
    "surrogates as CESU-8": text().replace(b"fair", b"\xed\xa0\xbd\xed\xb8\x80"),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_has_two_meanings_or_none(closed: Closed, raw: bytes) -> None:
    """An approver must read what the requester wrote, so a body is taken in one way or not at all."""
    closed.refuses(closed.post(raw), 400)


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown field": ({"approved": True}, ["/approved"]),
    "an unknown field with a slash": ({"a/b~c": 1}, ["/a~1b~0c"]),
    "a template that is null": ({"template": None}, ["/template"]),
    "a template that is a number": ({"template": 7}, ["/template"]),
    "a flag that is a text": ({"break_glass": "true"}, ["/break_glass"]),
    "a flag that is a number": ({"break_glass": 1}, ["/break_glass"]),
    "a template that there is not": ({"template": "web-large"}, ["/template"]),
    "a template elsewhere": ({"template": "../people"}, ["/template"]),
    "a template and a line feed": ({"template": "web-small\n"}, ["/template"]),
    "a reason that is null": ({"reason": None}, ["/reason"]),
    "a blank reason": ({"reason": " \n "}, ["/reason"]),
    "an endless reason": ({"reason": "x" * 1001}, ["/reason"]),
    "a reason with NUL": ({"reason": "x\x00"}, ["/reason"]),
    "a reason with escape": ({"reason": "\x1b[2K"}, ["/reason"]),
    "a reason with a carriage return": ({"reason": "x\r\nBcc: all@example.com"}, ["/reason"]),
    "no cost center": ({"cost_center": ""}, ["/cost_center"]),
    "a cost center that is a formula": ({"cost_center": "=1+1"}, ["/cost_center"]),
    "a cost center and a line feed": ({"cost_center": "marketing\n"}, ["/cost_center"]),
    "a name of two lines": ({"name": "fair\nBcc: all@example.com"}, ["/name"]),
    "a name and a line feed": ({"name": "fair\n"}, ["/name"]),
    "an empty name": ({"name": ""}, ["/name"]),
    "a name with a line separator": ({"name": "a\u2028b"}, ["/name"]),
    "a lease that is a number": ({"lease": 8}, ["/lease"]),
    "a lease that is none": ({"lease": "soon"}, ["/lease"]),
    "a lease of nothing": ({"lease": "0h"}, ["/lease"]),
    "a lease and a line feed": ({"lease": "8h\n"}, ["/lease"]),
    "a lease in other digits": ({"lease": "\u0668h"}, ["/lease"]),
    "a lease longer than allowed": ({"lease": "91d"}, ["/lease"]),
    "a moment that is anywhere's": ({"launch_by": "2026-12-01T10:00:00"}, ["/launch_by"]),
    "parameters that are a list": ({"parameters": [1]}, ["/parameters"]),
    "a parameter too small": ({"parameters": {"count": 0}}, ["/parameters/count"]),
    "a parameter too large": ({"parameters": {"count": 5}}, ["/parameters/count"]),
    "a parameter that is text": ({"parameters": {"count": "2"}}, ["/parameters/count"]),
    "a parameter that is true": ({"parameters": {"count": True}}, ["/parameters/count"]),
    "a parameter that is a part": ({"parameters": {"count": 1.5}}, ["/parameters/count"]),
    "an unknown parameter": ({"parameters": {"image_id": "ami-1"}}, ["/parameters/image_id"]),
    "parameters wrong in several ways": (
        {"parameters": {"count": 9, "a/b": 1, "~": 2}},
        ["/parameters/a~1b", "/parameters/count", "/parameters/~0"],
    ),
    "on behalf of a name": ({"on_behalf_of": "lead"}, ["/on_behalf_of"]),
    "on behalf of no subject": ({"on_behalf_of": {"issuer": ISSUER}}, ["/on_behalf_of/subject"]),
    "on behalf of more": ({"on_behalf_of": {**LEAD, "groups": ["leads"]}}, ["/on_behalf_of/groups"]),
    "on behalf of a fragment": (
        {"on_behalf_of": {**LEAD, "issuer": f"{ISSUER}#x"}},
        ["/on_behalf_of/issuer"],
    ),
    "on behalf of a line feed": (
        {"on_behalf_of": {**LEAD, "issuer": f"{ISSUER}\n"}},
        ["/on_behalf_of/issuer"],
    ),
}


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("inside", ["1", "[]", "{}", '"x"'])
def test_what_is_nested_has_an_end_that_all_agree_on(begin: str, end: str, inside: str) -> None:
    """S34: 32 deep is read and 33 is not, whatever it is that is nested, and whatever is in it."""
    room = strict.DEEPEST - (inside in ("[]", "{}"))
    each = 2 if len(begin) > len('{"a":') else 1
    deep = room // each
    strict.decode(f"{begin * deep}{inside}{end * deep}".encode(), Any)
    with pytest.raises(InvalidError, match="is nested deeper than 32"):
        strict.decode(f"{begin * (deep + 1)}{inside}{end * (deep + 1)}".encode(), Any)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_is_no_number_is_none_wherever_it_stands(number: str) -> None:
    """Nobody can compare it with a limit, whatever the template lets stand there."""
    with pytest.raises(InvalidError, match="is not strict JSON"):
        strict.decode(f'{{"any": [{number}]}}'.encode(), dict[str, Any])


def test_a_number_is_whole_as_far_as_all_read_it_so() -> None:
    """Beyond 2**53 a double is not the integer that it looks like (RFC 7493, 2.2)."""
    numbers = strict.decode(b"[1.0, 1e3, -0.5, 9007199254740991.0, 9007199254740992.0, 1e300]", list[Any])
    assert numbers == [1, 1000, -0.5, 9007199254740991, 9007199254740992.0, 1e300]
    assert [type(one) for one in numbers] == [int, int, float, int, float, float]


@pytest.mark.parametrize(("changed", "pointers"), WRONG.values(), ids=WRONG.keys())
def test_each_fault_is_pointed_at(closed: Closed, changed: dict[str, Any], pointers: list[str]) -> None:
    """Whoever wrote the body finds the fault without reading our code."""
    problem = closed.refuses(closed.post(text(**changed)), 400)
    assert sorted(one["pointer"] for one in problem["errors"]) == pointers
    assert all(one["rule"] and one["detail"] for one in problem["errors"])


TAKERS = [
    (method.upper(), path)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]


@pytest.mark.parametrize(("method", "path"), TAKERS)
def test_a_field_that_no_route_knows_is_refused_by_each(closed: Closed, method: str, path: str) -> None:
    """It was meant to matter; whoever sent it must not believe that it did."""
    good = body_of(path, {"id": "l-none", "digest": "0" * 64})
    answer = closed.world.call(method, path.replace("{id}", "l-none"), {**good, "unless": 1}, who="ops")
    assert [one["pointer"] for one in closed.refuses(answer, 400)["errors"]] == ["/unless"]


@pytest.mark.parametrize(
    "path", ["", ".", "..", "./a", "../a", "a/.", "a/./b", "a/../b", "a//b", "/a", "a\n"]
)
def test_a_file_of_a_policy_has_one_path(closed: Closed, path: str) -> None:
    """Two paths of one file would be one of them reviewed and the other read."""
    body = {"files": {path: "x"}, "reason": "another"}
    answer = closed.world.call("PUT", "/v1/policy", body, who="ops")
    (fault,) = closed.refuses(answer, 400)["errors"]
    assert (fault["pointer"], fault["rule"]) == ("/files", "shape")
    assert fault["detail"].startswith("a key of it: expected ")


@pytest.mark.parametrize("field", ["template", "reason", "cost_center"])
def test_what_is_missing_is_pointed_at(closed: Closed, field: str) -> None:
    """A default for what must be said would be said in somebody's name."""
    body = {name: value for name, value in GOOD.items() if name != field}
    problem = closed.refuses(closed.post(json.dumps(body).encode()), 400)
    assert [(one["pointer"], one["rule"]) for one in problem["errors"]] == [(f"/{field}", "required")]


def test_a_body_of_300_kilobytes(closed: Closed) -> None:
    """Nobody may make us parse without end; just at the limit it is judged by what it says."""
    closed.refuses(closed.post(text(reason="x" * 300 * 1024)), 413)
    at_limit = text() + b" " * (256 * 1024 - len(text()))
    closed.refuses(closed.post(at_limit + b" ", "?dry_run=true"), 413)
    assert closed.post(at_limit, "?dry_run=true").code == 200


def test_a_refusal_is_short_whatever_was_sent(closed: Closed) -> None:
    """What somebody sends in a hundred thousand characters is not sent back, nor are ten thousand faults."""
    long = closed.refuses(closed.post(text(**{"x" * 90_000: 1})), 400)
    many = closed.refuses(closed.post(text(parameters={f"x{n}": 1 for n in range(10_000)})), 400)
    assert len(json.dumps(long)) < 40_000
    assert len(json.dumps(many)) < 40_000


def test_a_refusal_is_short_whoever_found_the_faults() -> None:
    """As above, where an engine or a template names them."""
    faults = [Fault("/x" * 1000, "shape", "y" * 1000)] * 1000
    told = json.loads(problem.of(InvalidError(*faults)).body)
    assert len(told["errors"]) == problem.MOST_FAULTS
    assert {len(one[part]) for one in told["errors"] for part in ("pointer", "detail")} == {501}
    assert len(told["detail"]) <= 2001


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (IssuerUnavailableError("out"), 503, "try-again"),
        (TransitionNotAllowedError("approve", "EXPIRED"), 409, "wrong-state"),
        (RefusedError("AccessDenied", "arn:aws:iam::123456789012:role/x may not"), 500, "internal"),
    ],
)
def test_an_error_is_told_by_what_it_is_a_kind_of(error: GonogoError, code: int, kind: str) -> None:
    """One that nobody has put into the table is ours, and its words are for the log."""
    answer = problem.of(error)
    assert (answer.status_code, json.loads(answer.body)["type"]) == (code, f"urn:gonogo:problem:{kind}")
    assert "arn:" not in answer.body
    assert answer.headers.get("Retry-After") == ("5" if code == 503 else None)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, 403, "not-found"),
        (404, 404, "not-found"),
        (405, 405, "method"),
        (415, 415, "media-type"),
        (400, 500, "internal"),
        (500, 500, "internal"),
    ],
)
def test_what_the_framework_says_is_said_in_our_words(status: int, code: int, kind: str) -> None:
    """Its own have particulars, or a form that no client of ours reads."""
    said = {"statusCode": status, "headers": {"Allow": "GET"}, "body": '{"Message": "arn:aws:x"}'}
    answer = Answer(refusals.as_problem(said))
    assert (answer.code, answer.json["type"]) == (code, f"urn:gonogo:problem:{kind}")
    assert "arn:" not in answer.text


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "text/plain; application/json",
        "text/plain, application/json",
        "application/json, text/plain",
        "application/json+x",
        "*/*",
        "",
    ],
)
def test_what_is_not_sent_as_json(closed: Closed, kind: str) -> None:
    """A form on a stranger's page can send some content types without asking; none of them is taken."""
    closed.refuses(closed.post(text(), content_type=kind), 415)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_however_it_is_spelled(closed: Closed, kind: str) -> None:
    """Media types do not care for case, and have parameters (RFC 9110, 8.3.1)."""
    assert closed.post(text(), "?dry_run=true", content_type=kind).code == 200


def test_bytes_that_are_no_text_as_aws_hands_them_over(closed: Closed) -> None:
    """API Gateway hands bodies over in base64 where it takes them for binary."""
    event = {
        "requestContext": {"httpMethod": "POST", "resourcePath": PATH, "identity": {}, "path": PATH},
        "headers": {"content-type": "application/json", "authorization": "Bearer dev"},
        "pathParameters": {},
        "stageVariables": {},
        "multiValueQueryStringParameters": None,
        "body": base64.b64encode(text() + b"\xff\xfe").decode(),
        "isBase64Encoded": True,
    }
    closed.refuses(Answer(app(event, None)), 400)


@pytest.mark.parametrize(
    "query",
    ["?dry_run=yes", "?dry_run=true&dry_run=false", "?dryrun=true", "?dry_run=", "?dry_run=True", "?force=1"],
)
def test_a_query_that_is_not_known(closed: Closed, query: str) -> None:
    """Whoever misspells dry_run must not have launched."""
    closed.refuses(closed.post(text(), query), 400)


@pytest.mark.parametrize("key", ["", "a" * 256, "caf\u00e9", "a\tb", "a\nb", "\x00", "\u200b"])
def test_an_idempotency_key_that_is_none(closed: Closed, key: str) -> None:
    """A key that one proxy changes and another does not would make two launches."""
    closed.refuses(closed.post(text(), idempotency_key=key), 400)


@pytest.mark.parametrize(
    "who", ["finance", "lead", "nobody", "Dev", "dev\u200b", "nobody+developers,operators"]
)
def test_strangers_and_those_without_a_permit(closed: Closed, who: str) -> None:
    """Policy says who may ask; a name much like one it knows is a stranger's, as is a claim unmapped."""
    problem = closed.refuses(closed.post(text(), who=who), 403)
    assert problem["type"] == "urn:gonogo:problem:not-permitted"
    assert ("No policy permits" if who in ("finance", "lead") else "knows nobody") in problem["detail"]


def test_every_field_that_is_derived(closed: Closed) -> None:
    """State, gates, price and digest are the server's to say; a request that says them is refused whole."""
    derived = set(LaunchView.__struct_fields__) - set(Submit.__struct_fields__)
    assert {"id", "state", "gates", "digest", "requester", "price", "plan", "bundle", "resources"} < derived
    sample = closed.post(text(), "?dry_run=true").json
    for field in sorted(derived):
        problem = closed.refuses(closed.post(text(**{field: sample.get(field, "PENDING")})), 400)
        assert [one["pointer"] for one in problem["errors"]] == [f"/{field}"]


def test_whoever_asks_is_whoever_signed_in(closed: Closed) -> None:
    """What a header says besides the token is nobody's word."""
    answer = closed.post(
        text(), "?dry_run=true", x_amzn_oidc_identity="ops", x_forwarded_user="ops", x_user="ops", from_="ops"
    )
    assert answer.json["outcome"] == "gates"


def test_a_dry_run_needs_the_authority_of_asking(closed: Closed) -> None:
    """What a launch costs and who decides it is not for strangers."""
    for who, outcome in (("ops", "direct"), ("dev", "gates")):
        assert closed.post(text(), "?dry_run=true", who=who).json["outcome"] == outcome
    for who in ("finance", "nobody"):
        closed.refuses(closed.post(text(), "?dry_run=true", who=who), 403)
    closed.refuses(closed.post(text(), "?dry_run=true", who=""), 401)
