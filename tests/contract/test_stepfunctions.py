"""Engine stepfunctions: a version held fast, StartExecution with just what the plan says, and what it may answer.

The second engine refuses the same name with the same input, which AWS answers with the execution that it began, and
tells no execution's version: all of this is asked of moto, as it is mended here, and of the stub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

from gonogo.aws.engines.stepfunctions import (  # isort: skip - after the environment that it reads
    LARGEST_INPUT,
    StepFunctions,
    StepFunctionsObserver,
    StepFunctionsResolver,
)
from gonogo.cli import offline
from gonogo.core.errors import InvalidError, LaterError, RefusedError
from gonogo.core.plan import Account, Place, Plan, Unit
from local.aws import ACCOUNT, client
from tests.contract.engines import clients, cloud

HERE = Place(REGION)
TOKEN = "g-" + "a" * 50
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:nightly"
ARN = f"{MACHINE.replace('stateMachine', 'execution')}:{TOKEN}"
VERSION = f"{MACHINE}:3"
SPEC: Mapping[str, Any] = {
    "state_machine_arn": VERSION,
    "input": {"day": "2026-11-01", "n": 1.0},
    "units": [{"kind": "report"}],
}
INPUT = '{"day":"2026-11-01","n":1}'
STANDARD = {
    "stateMachineArn": MACHINE,
    "name": "nightly",
    "definition": "{}",
    "roleArn": "arn:aws:iam::123456789012:role/x",
    "type": "STANDARD",
    "creationDate": datetime(2026, 11, 1, tzinfo=UTC),
}


def told(service: str, _place: Place) -> Any:
    """Return a client that answers as it is told to."""
    return shared(service)


def plan(spec: Mapping[str, Any] = SPEC) -> Plan:
    """Return a plan as it is when it comes to the launch: resolved."""
    return Plan(
        template="nightly",
        engine="stepfunctions",
        region=REGION,
        parameters={},
        spec=dict(spec),
        units=(Unit("report", 1),),
    )


# Made whole


def resolved(spec: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Unit, ...]]:
    """Return a spec made whole."""
    return StepFunctionsResolver(told).resolve(spec, HERE, {})


def test_a_version_stays_what_it_is() -> None:
    """What was approved is what is launched; only that its executions start exactly once is looked at."""
    with stubbed(shared("stepfunctions")) as stub:
        for _ in range(2):
            stub.add_response("describe_state_machine", STANDARD, {"stateMachineArn": VERSION})
        spec, units = resolved(SPEC)
        assert (spec["state_machine_arn"], units) == (VERSION, (Unit("report", 1),))
        assert resolved(spec) == (spec, units)


def test_a_state_machine_becomes_its_newest_version() -> None:
    """Without a version, whoever edits it after the approval decides what runs (StartExecution, "Note")."""
    versions = [
        {"stateMachineVersionArn": f"{MACHINE}:{one}", "creationDate": datetime(2026, 11, 1, tzinfo=UTC)}
        for one in (9, 10, 8)
    ]
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_response(
            "list_state_machine_versions", {"stateMachineVersions": versions}, {"stateMachineArn": MACHINE}
        )
        stub.add_response("describe_state_machine", STANDARD, {"stateMachineArn": f"{MACHINE}:10"})
        assert resolved({**SPEC, "state_machine_arn": MACHINE})[0]["state_machine_arn"] == f"{MACHINE}:10"


def test_an_alias_becomes_the_version_that_it_leads_to() -> None:
    """An alias is moved by whoever deploys."""
    alias = f"{MACHINE}:live"
    routes = [
        {"stateMachineVersionArn": VERSION, "weight": 100},
        {"stateMachineVersionArn": f"{MACHINE}:2", "weight": 0},
    ]
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_response(
            "describe_state_machine_alias", {"routingConfiguration": routes}, {"stateMachineAliasArn": alias}
        )
        stub.add_response("describe_state_machine", STANDARD, {"stateMachineArn": VERSION})
        assert resolved({**SPEC, "state_machine_arn": alias})[0]["state_machine_arn"] == VERSION


@pytest.mark.parametrize(
    ("arn", "operation", "answer", "words"),
    [
        (MACHINE, "list_state_machine_versions", {"stateMachineVersions": []}, "publish one"),
        (VERSION, "describe_state_machine", {**STANDARD, "type": "EXPRESS"}, "EXPRESS"),
        (
            f"{MACHINE}:live",
            "describe_state_machine_alias",
            {
                "routingConfiguration": [
                    {"stateMachineVersionArn": f"{MACHINE}:{one}", "weight": 50} for one in (1, 2)
                ]
            },
            "left to chance",
        ),
    ],
)
def test_what_could_run_otherwise_than_approved_is_refused(
    arn: str, operation: str, answer: Any, words: str
) -> None:
    """A plan has no mutable reference, and an express execution may be started twice."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_response(operation, answer)
        with pytest.raises(InvalidError, match=words):
            resolved({**SPEC, "state_machine_arn": arn})


@pytest.mark.parametrize("code", ["StateMachineDoesNotExist", "InvalidArn", "AccessDeniedException"])
def test_a_machine_that_is_not_there_is_the_requesters_to_hear(code: str) -> None:
    """The template names what is not there."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("describe_state_machine", code, http_status_code=400)
        with pytest.raises(InvalidError):
            resolved(SPEC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"state_machine_arn": "nightly"},
        {"state_machine_arn": f"{MACHINE}/map"},
        {"state_machine_arn": MACHINE.replace(REGION, "eu-central-1")},
        {"state_machine_arn": f"{VERSION}\n"},
        {"units": []},
        {"input": {"n": 2**60}},
        {"input": {"n": "x" * LARGEST_INPUT}},
        {"input": {"n": "\u00e9" * (LARGEST_INPUT // 2)}},
        {"name": "mine"},
    ],
)
def test_what_is_no_spec_is_refused_before_anybody_is_asked(wrong: Mapping[str, Any]) -> None:
    """Nothing outside is called for it."""
    with stubbed(shared("stepfunctions")), pytest.raises(InvalidError):
        resolved({**SPEC, **wrong})


def test_a_machine_is_of_the_account_that_the_template_names() -> None:
    """A role of that account could start no other, and the page names that account."""
    other = Account(
        role="arn:aws:iam::999999999999:role/a", observer="arn:aws:iam::999999999999:role/b", external_id="xx"
    )
    with pytest.raises(InvalidError, match="account"):
        StepFunctionsResolver(told).resolve(SPEC, Place(REGION, other), {})


def test_offline_a_machine_is_taken_for_a_version() -> None:
    """`gonogo policy check` asks nobody."""
    spec, units = offline.resolver("stepfunctions").resolve({**SPEC, "state_machine_arn": MACHINE}, HERE, {})
    assert (spec["state_machine_arn"], units) == (MACHINE, (Unit("report", 1),))


# Just what the plan says, once


def launched() -> tuple[str, ...]:
    """Launch the plan by a client that answers as it is told to."""
    return StepFunctions(told).launch(plan(), token=TOKEN, tags={"gonogo:launch": "l-1"}, files=dict)


def test_every_argument_of_start_execution_comes_from_the_plan() -> None:
    """The golden call: the version, the token as its name, and the input in one form only."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_response(
            "start_execution",
            {"executionArn": ARN, "startDate": datetime(2026, 11, 27, tzinfo=UTC)},
            {"stateMachineArn": VERSION, "name": TOKEN, "input": INPUT},
        )
        assert launched() == (ARN,)
    assert len(TOKEN) <= 80


def execution(**more: Any) -> dict[str, Any]:
    """Return an execution as DescribeExecution shows it; what is None is left out."""
    shown = {
        "executionArn": ARN,
        "stateMachineArn": MACHINE,
        "stateMachineVersionArn": VERSION,
        "name": TOKEN,
        "status": "SUCCEEDED",
        "startDate": datetime(2026, 11, 27, 3, tzinfo=UTC),
        "stopDate": datetime(2026, 11, 27, 4, tzinfo=UTC),
        "input": INPUT,
        **more,
    }
    return {name: value for name, value in shown.items() if value is not None}


def test_an_execution_that_has_ended_is_adopted() -> None:
    """Its name is taken for 90 days, whatever the input: it is held against the plan (StartExecution, "Note")."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("start_execution", "ExecutionAlreadyExists", http_status_code=400)
        stub.add_response(
            "describe_execution", execution(input='{"n": 1.0, "day": "2026-11-01"}'), {"executionArn": ARN}
        )
        assert launched() == (ARN,)


@pytest.mark.parametrize(
    "other",
    [
        {"stateMachineVersionArn": f"{MACHINE}:2"},
        {"stateMachineVersionArn": None},
        {"input": '{"day":"2026-11-02","n":1}'},
        {"input": "{}"},
        {"input": None},
    ],
)
def test_an_execution_of_something_else_is_never_taken_for_the_plan(other: Mapping[str, Any]) -> None:
    """Neither by launching nor by looking."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("start_execution", "ExecutionAlreadyExists", http_status_code=400)
        stub.add_response("describe_execution", execution(**other))
        with pytest.raises(RefusedError, match="NotThePlan"):
            launched()


def test_a_name_that_is_taken_by_what_cannot_be_seen_proves_nothing() -> None:
    """It is asked again."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("start_execution", "ExecutionAlreadyExists", http_status_code=400)
        stub.add_client_error("describe_execution", "ExecutionDoesNotExist", http_status_code=400)
        with pytest.raises(LaterError):
            launched()


@pytest.mark.parametrize("code", ["ExecutionLimitExceeded", "StateMachineDeleting", "AccessDeniedException"])
def test_a_definite_no_is_a_failure_in_its_own_words(code: str) -> None:
    """Nothing was started (API reference, StartExecution, "Errors")."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("start_execution", code, "In its own words.", http_status_code=400)
        with pytest.raises(RefusedError) as caught:
            launched()
    assert (caught.value.code, caught.value.message) == (code, "In its own words.")


CALLS = {
    "start_execution": lambda engine: engine.launch(plan(), token=TOKEN, tags={}, files=dict),
    "describe_execution": lambda engine: engine.find(plan(), token=TOKEN),
    "stop_execution": lambda engine: engine.terminate(plan(), [ARN]),
    "describe_state_machine": lambda engine: engine.resolve(SPEC, HERE, {}),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(("code", "status"), PASSING)
def test_what_passes_is_asked_again(operation: str, code: str, status: int) -> None:
    """What may have been done is never called a failure."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(LaterError):
            CALLS[operation](StepFunctions(told))


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_asked_again(operation: str, silence: Exception) -> None:
    """As above: a time-out least of all."""
    name = "".join(part.capitalize() for part in operation.split("_"))
    with silent(shared("stepfunctions"), name, silence), pytest.raises(LaterError):
        CALLS[operation](StepFunctions(told))


# Afterwards


@pytest.fixture(scope="module")
def machine() -> Iterator[str]:
    """Give moto with a state machine, and the ARN of its version."""
    with cloud():
        made = client("stepfunctions").create_state_machine(
            name="nightly", definition="{}", roleArn=f"arn:aws:iam::{ACCOUNT}:role/x", publish=True
        )
        yield str(made["stateMachineVersionArn"])


def test_an_execution_is_terminated_again_without_harm_and_seen_to_its_end(machine: str) -> None:
    """A cue may come twice; and when it began and ended is what is billed."""
    mine = plan({**SPEC, "state_machine_arn": machine})
    engine, eyes = StepFunctions(clients), StepFunctionsObserver(clients)
    (made,) = engine.launch(mine, token=TOKEN, tags={}, files=dict)
    seen = eyes.look(made, HERE)
    assert seen is not None
    assert (seen.state, seen.client_token, seen.changed_at) == ("running", TOKEN, None)
    for _ in range(2):
        engine.terminate(mine, [made])
    seen = eyes.look(made, HERE)
    assert seen is not None
    assert (seen.state, seen.began_at is not None, seen.changed_at is not None) == ("terminated", True, True)
    engine.terminate(mine, [f"{made}-none"])
    assert eyes.look(f"{made}-none", HERE) is None
    assert eyes.look("nonsense", HERE) is None
    assert list(eyes.survey(HERE, ours=True)) == []


def test_an_execution_that_may_not_be_terminated_is_not_taken_for_gone() -> None:
    """It runs on, and costs."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("stop_execution", "AccessDeniedException", http_status_code=400)
        with pytest.raises(RefusedError, match="AccessDeniedException"):
            StepFunctions(told).terminate(plan(), [ARN])


def test_an_execution_is_neither_stopped_for_a_while_nor_started_again() -> None:
    """The requester reads that it cannot be."""
    for call in (StepFunctions(told).stop, StepFunctions(told).start):
        with pytest.raises(RefusedError, match="NotStoppable"):
            call(plan(), [ARN])


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("RUNNING", "running"),
        ("PENDING_REDRIVE", "running"),
        *((one, "terminated") for one in ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")),
    ],
)
def test_a_status_says_whether_it_has_ended(status: str, state: str) -> None:
    """However it ended, it has."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_response("describe_execution", execution(status=status))
        seen = StepFunctionsObserver(told).look(ARN, HERE)
    assert seen is not None
    assert seen.state == state


@pytest.mark.parametrize(("code", "status"), [*PASSING, ("AccessDeniedException", 400)])
def test_an_execution_that_cannot_be_looked_at_now_is_looked_at_later(code: str, status: int) -> None:
    """Not to see it is not to know that it is gone."""
    with stubbed(shared("stepfunctions")) as stub:
        stub.add_client_error("describe_execution", code, http_status_code=status)
        with pytest.raises(LaterError):
            StepFunctionsObserver(told).look(ARN, HERE)
