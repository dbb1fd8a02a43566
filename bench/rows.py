"""The rows of the table: what each is, its bound, and what it means."""

from __future__ import annotations

from typing import NamedTuple

from bench.lifecycle import FUNCTIONS

FEW, MANY = 100, 100_000
AGES = (1, 100, 1000)
POLICIES = 100
CLIENTS = (8, 32)
ROOMS = ("pages", "usage", "signed_in", *FUNCTIONS[1:], "wake")
"""Whatever app.py imports by itself, besides the API."""
COMMON = ("submit", "decide", "get", "inbox page", "list page")
"""The requests that people wait for."""

WRITES = "writes per lifecycle (submit, decide, claim, record)"
ASKED = "AWS calls per lifecycle (submit, decide, claim, record)"
CPU = "handler CPU per lifecycle against the same AWS calls raw"
IMPORT = "import CPU of the API function against chalice + one boto3 client"
DECISION = f"policy decision at {POLICIES} policies, bundle loaded"
USAGE = f"recording a stop and a start on day {AGES[-1]:,} of an instance against day {AGES[0]}"
WHOLE = f"a whole lifecycle at {MANY:,} launches against {FEW}"
PRICE = "price per million lifecycles"
IDLE = "price of a month without launches"


def import_of(room: str) -> str:
    """Return the row of what a room costs to import."""
    return f"import CPU of {room} against the same"


def growth_of(request: str) -> str:
    """Return the row of a common request."""
    return f"{request} at {MANY:,} launches against {FEW}"


def whole_of(function: str) -> str:
    """Return the row of a function's part in a whole lifecycle."""
    return f"{function} in a whole lifecycle"


def throughput_of(clients: int) -> str:
    """Return the row of so many clients."""
    return f"throughput of {clients} clients against the same AWS calls raw"


class Meaning(NamedTuple):
    """The bound of a row, "-" where there is none, and what the row means."""

    bound: str
    means: str


_NO_BOUND = "-"
ROWS: dict[str, Meaning] = {
    WRITES: Meaning(
        "4 conditional, 0 transactions",
        "The writes to the table that a launch waits for: it is asked for, decided, claimed and recorded, each one "
        "conditional write of one item.",
    ),
    ASKED: Meaning(
        _NO_BOUND, "All that these three invocations ask of AWS, in a process that has been used before."
    ),
    CPU: Meaning(
        "<= 1.5x",
        "Process CPU of the three invocations, AWS answering at once out of a recording, against clients as boto3 "
        "makes them that only make the same calls. The least of many turns of each, taken in turn.",
    ),
    IMPORT: Meaning(
        "<= 1.5x",
        "What a cold start of the API costs, its table client made, against `import chalice` and one boto3 client of "
        "DynamoDB. The least of several new processes.",
    ),
    **{
        import_of(room): Meaning(
            _NO_BOUND, f"The same of what `app.py` imports for {room}, with the first client that it needs."
        )
        for room in ROOMS
    },
    DECISION: Meaning("<= 200 us", "Both actions of one request judged by Cedar, on this machine."),
    USAGE: Meaning(
        "<= 1.0x",
        "AWS calls and capacity units of `observe`: a bill does not get dearer with its instance's age.",
    ),
    **{
        growth_of(request): Meaning(
            "<= 1.1x",
            "AWS calls and capacity units, whichever grew more. Nothing reads what it does not show.",
        )
        for request in COMMON
    },
    **{
        whole_of(function): Meaning(
            _NO_BOUND,
            f"All invocations of {function} from asking for a launch to the usage record of its end, one approver "
            "told by mail.",
        )
        for function in FUNCTIONS
    },
    WHOLE: Meaning("<= 1.1x", "The same of all functions together, by calls, read units or write units."),
    PRICE: Meaning(
        _NO_BOUND, "The counted calls of such a life at the list prices below. No free tier is taken off."
    ),
    IDLE: Meaning(
        _NO_BOUND, "Keys, alarms, a waking each minute, and Lambda asking queues in which there is nothing."
    ),
    **{
        throughput_of(clients): Meaning(
            _NO_BOUND,
            f"{clients} processes at once go through the three invocations, AWS answering at once out of a recording, "
            "against as many that only make the calls. A ratio, since there is no AWS in it: it says what is left of "
            "what the calls alone would allow when CPU is all there is too little of.",
        )
        for clients in CLIENTS
    },
}
"""Every row that the command prints, in order; `--quick` leaves some out."""


class Row(NamedTuple):
    """One line of the table, as it was found."""

    what: str
    found: str
    holds: bool = True
