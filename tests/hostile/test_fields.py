"""Our corpus in every field, parameter and header that /openapi.json names: no fault of ours, nothing written."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

from functions.openapi import document
from infra import routes
from tests.functions import matrix
from tests.functions.faults import on_each_call
from tests.functions.matrix import FILES, WRITES, Stage, body_of
from tests.functions.test_access import assert_safe
from tests.functions.world import Answer, world
from tests.hostile.corpus import HEADERS, OTHERS, RAW, TEXTS, many, seed
from tests.hostile.honest import Honest

Step = str | int
SHORT = 400
"""Requests where GONOGO_FIELDS does not say how many, or `all`."""


class Target(NamedTuple):
    """One place of one route where something can be put: `where` is body, raw, key, query, path, header or form."""

    method: str
    path: str
    where: str
    at: tuple[Step, ...]


def targets() -> Iterator[Target]:
    """Yield every place that the description has."""
    made = document()
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            verb = method.upper()
            for one in operation["parameters"]:
                yield Target(verb, path, one["in"], (one["name"],))
            yield Target(verb, path, "header", ("authorization",))
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                yield Target(verb, path, "header", ("content-type",))
                where = "form" if "form" in kind else "body"
                for at in fields(content["schema"], made["components"]["schemas"]):
                    yield Target(verb, path, where, at)
                    if where == "body":
                        yield Target(verb, path, "raw", at)
                        yield Target(verb, path, "twice", at)


def fields(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[Step, ...]]:
    """Yield the path of every field of a schema, of what is in it, and of a field that is not."""
    while "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    for name, inner in schema.get("properties", {}).items():
        yield (name,)
        for one in (inner, *inner.get("anyOf", ()), *inner.get("oneOf", ())):
            for rest in fields(one, known):
                yield (name, *rest)
    if isinstance(schema.get("additionalProperties"), dict) or schema.get("type") == "object":
        yield ("unknown",)


def put(body: Any, at: tuple[Step, ...], value: Any) -> Any:
    """Return the body with a value at a path, which is made if it is not there."""
    whole = inner = copy.deepcopy(body)
    for step in at[:-1]:
        if not isinstance(inner.get(step), dict):
            inner[step] = {}
        inner = inner[step]
    inner[at[-1]] = value
    return whole


MARK = "\ue000gonogo\ue000"


def bodies(target: Target, good: Any) -> Iterator[tuple[str, bytes]]:
    """Yield hostile bodies for a target, by what is in it."""
    if target.where == "body":
        for name, value in {**TEXTS, **OTHERS}.items():
            try:
                yield name, json.dumps(put(good, target.at, value)).encode()
            except ValueError:  # more digits than Python writes: as bytes it is in RAW
                continue
            if isinstance(value, str):
                yield f"{name}, as a key", json.dumps(put(good, (*target.at[:-1], value), 1)).encode()
    elif target.where == "raw":
        text = json.dumps(put(good, target.at, MARK)).encode()
        for name, raw in RAW.items():
            yield name, text.replace(json.dumps(MARK).encode(), raw)
    elif target.where == "twice":
        text = json.dumps(put(good, target.at, MARK)).encode()
        key = json.dumps(str(target.at[-1])).encode()
        yield "twice", text.replace(json.dumps(MARK).encode(), b'"x", ' + key + b': "y"')


def percent(value: str) -> str:
    """Return a text as it stands in an address."""
    return quote_from_bytes(value.encode("utf-8", "surrogatepass")[:4000], safe="")


class Sent(NamedTuple):
    """One hostile request, and by whom."""

    target: Target
    what: str
    url: str
    raw: bytes
    headers: dict[str, str]


def requests(target: Target, launch: Any) -> Iterator[Sent]:
    """Yield every hostile request for a target."""
    url = target.path.replace("{id}", launch["id"])
    good = body_of(target.path, launch)
    raw = json.dumps(good).encode() if target.method in ("POST", "PUT") else b""
    headers = {"content-type": "application/json"}
    form = {"code": launch["code"], "digest": launch["digest"], "answer": "perhaps", "comment": "x"}
    if matrix.takes_a_form(target.method, target.path):
        raw, headers = urlencoded(form), {"content-type": matrix.FORM}
    if target.where in ("body", "raw", "twice"):
        for what, body in bodies(target, good):
            yield Sent(target, what, url, body, headers)
    elif target.where == "form":
        for what, value in TEXTS.items():
            yield Sent(target, what, url, urlencoded({**form, str(target.at[0]): value}), headers)
    elif target.where in ("query", "path"):
        for what, there in addresses(target, url):
            yield Sent(target, what, there, raw, headers)
    else:
        for what, value in HEADERS.items():
            yield Sent(target, what, url, raw, {**headers, str(target.at[0]).lower(): value})


def addresses(target: Target, url: str) -> Iterator[tuple[str, str]]:
    """Yield hostile addresses for a parameter, by what is in it."""
    name = target.at[0]
    if target.where == "path":
        for what, value in TEXTS.items():
            yield what, target.path.replace("{id}", percent(value) or "%20")
        return
    for what, value in TEXTS.items():
        yield what, f"{url}?{name}={percent(value)}"
    yield "twice", f"{url}?{name}=x&{name}=y"
    yield "unknown", f"{url}?{name}x=y"


def urlencoded(form: Mapping[str, str]) -> bytes:
    """Return a form as it is sent, whatever is in it."""
    return "&".join(f"{quote(name)}={percent(value)}" for name, value in form.items()).encode()


def test_every_field_of_every_body_is_a_target() -> None:
    """What this file does not reach is not held; a new route is reached by being described."""
    found = list(targets())
    assert {(one.method, one.path) for one in found} == set(matrix.routes())
    bodies_of = {one.path: set() for one in found}  # type: ignore[var-annotated]
    for one in found:
        if one.where == "body":
            bodies_of[one.path].add(one.at[0])
    assert {"template", "reason", "on_behalf_of", "parameters"} <= bodies_of["/v1/launches"]
    assert ("on_behalf_of", "issuer") in {one.at for one in found}
    assert len(found) > 100


def test_the_corpus_in_every_field(record_property: Callable[[str, object], None]) -> None:
    """Whoever sends it: no 5xx, every answer in our form, nothing written by a refusal or by who may not write."""
    number = seed()
    chance = random.Random(number)
    codes: Counter[int] = Counter()
    with world(FILES) as made:
        honest = Honest(made)
        stage = Stage(made)
        actions = routes.declared()
        allowed = {
            (row.method, row.path, role)
            for row in routes.written()
            for role, code in zip(routes.ROLES, row.answers, strict=True)
            if code < "300"
        }

        def launch() -> Any:
            return stage.launch("coded", "requester")

        every = [sent for one in targets() for sent in requests(one, launch())]
        chance.shuffle(every)
        limit = many("GONOGO_FIELDS", SHORT, len(every))
        reached = dict.fromkeys(targets(), 0)
        every.sort(key=lambda sent: _nth(reached, sent.target))
        written: list[str] = []

        def note(operation: str, _parameters: Mapping[str, Any]) -> None:
            if operation.endswith(WRITES):
                written.append(operation)

        for sent in every[:limit]:
            target = sent.target
            may = [one for one in routes.ROLES if (target.method, target.path, one) in allowed]
            role = chance.choice(may if may and chance.randrange(2) else routes.ROLES)
            bearer = stage.bearers.of(role)
            headers = {**({"authorization": f"Bearer {bearer}"} if bearer else {}), **sent.headers}
            if "authorization" in sent.headers:
                role = "nobody"
            written.clear()
            with on_each_call(before=note):
                answer = made.call(target.method, sent.url, raw=sent.raw, headers=headers)
            codes[answer.code] += 1
            told = (
                f"GONOGO_SEED={number} {role}: {sent.what!r} at {target}: {answer.code} {answer.text[:600]}"
            )
            assert answer.code < 500, told
            check(answer, told)
            if target.where in ("raw", "twice"):  # what has two meanings in JSON, or none
                assert answer.code >= 400, told
            if answer.code >= 400:
                assert written == [], told
            elif written:
                assert role in may, told
                assert actions[target.method, target.path] not in ("read", "public"), told
                stage.used("coded", "requester")
        after = made.rows()
    assert len(codes) >= 5
    alone = honest.rows(FILES)
    assert [one["pk"] for one in after] == [one["pk"] for one in alone], f"GONOGO_SEED={number}"
    assert after == alone, f"GONOGO_SEED={number}"
    record_property(
        "hostile", f"{len(after)} items in the table, as the {len(honest)} granted requests alone made them"
    )
    answers = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    record_property(
        "hostile", f"{codes.total():,} of {len(every):,} hostile requests (GONOGO_SEED={number}): {answers}"
    )


def _nth(reached: dict[Target, int], target: Target) -> int:
    """Return how often a target was reached before, so that each is reached once before any is twice."""
    reached[target] += 1
    return reached[target]


def check(answer: Answer, told: str) -> None:
    """Assert that an answer is in our form, and that what was sent is nothing in it but text."""
    assert_safe(answer)
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/html"):
        lowered = answer.text.lower()
        for sign in ("<script>alert", "<img", "onerror=alert(1)>", "<form action=//x>", "<!--"):
            assert sign not in lowered, told
    elif answer.text:
        assert kind in ("application/json", "application/problem+json"), told
        assert json.loads(answer.text) is not None
    if answer.code >= 400 and kind == "application/problem+json":
        assert {"type", "title", "status", "detail"} <= answer.json.keys(), told
        assert len(answer.text) < 40_000, told
    for name, value in answer.headers.items():
        assert "\n" not in str(value), told
        assert "\r" not in str(value), f"{name}: {told}"
