"""Events as everybody else reads them: each name of what goes on the bus, and what its hash is over."""

from __future__ import annotations

import hashlib

import jsonschema_rs
import msgspec
import pytest
import rfc8785

from gonogo.core import event
from gonogo.core.event import Event
from tests.core.builders import running

FIRST, *_, LAST = running("i-1").history


def test_an_event_stands_on_the_bus_as_documented():
    """Rules and billing pipelines match these very names (CloudEvents 1.0, docs/events.md)."""
    told = event.cloud_event("l-1", LAST)
    assert told == {
        "specversion": "1.0",
        "id": f"l-1-{LAST.seq}",
        "source": "gonogo",
        "type": "launch.started",
        "subject": "l-1",
        "time": "2026-11-02T09:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": f"urn:gonogo:event:launch.started:{event.ALL['launch.started'].schema_version}",
        "seq": LAST.seq,
        "prevhash": LAST.prev,
        "hash": event.hash_of("l-1", LAST),
        "data": LAST.data,
    }
    assert "prevhash" not in event.cloud_event("l-1", FIRST)


def test_an_event_of_newer_code_has_a_schema_of_its_name():
    """Old code that sends on what it does not know says as much as it can."""
    told = event.cloud_event("l-1", msgspec.structs.replace(FIRST, type="launch.levitated"))
    assert told["dataschema"] == "urn:gonogo:event:launch.levitated"


@pytest.mark.parametrize("one", [FIRST, LAST], ids=["first", "last"])
def test_the_hash_can_be_worked_out_by_others(one: Event):
    """An auditor with another language has docs/events.md only: SHA-256 over RFC 8785 of six names."""
    chained = {
        "data": one.data,
        "prevhash": one.prev,
        "seq": one.seq,
        "subject": "l-1",
        "time": "2026-11-02T09:00:00Z",
        "type": one.type,
    }
    assert event.hash_of("l-1", one) == hashlib.sha256(rfc8785.dumps(chained)).hexdigest()


def test_each_event_has_a_schema():
    """Subscribers generate types of it: it names itself, its dialect and its event."""
    for name, kind in event.ALL.items():
        schema = event.schema(kind)
        head = {key: schema[key] for key in ("$schema", "$id", "title")}
        assert head == {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:gonogo:event:{name}:{kind.schema_version}",
            "title": name,
        }
        jsonschema_rs.meta.validate(schema)


def test_every_kind_of_event_is_known():
    """What is told and not listed would have no schema, no row in docs/events.md and no subscriber."""
    assert event.ALL["launch.requested"] is event.LaunchRequested
    assert all(not kind.__subclasses__() for kind in event.ALL.values())
    assert len(set(event.ALL.values())) == len(event.ALL) > 20
