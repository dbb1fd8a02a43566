"""The same question put to another bundle: what differs is told, and what is gone is a difference."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gonogo.core import policy
from gonogo.core.bundle import Bundle
from gonogo.service import policy_replay
from tests.core.builders import DEV, OPS, STRANGER, also, asked, bundle, example, longer, replaced


def view(by: Any = DEV, template: str = "web-small", gates: tuple[str, ...] = ("lead",), **more: Any) -> Any:
    """Return a launch as the API shows it, with what only a newer one shows."""
    question = msgspec.to_builtins(asked(example(), template, by=by))
    fields = ("reason", "cost_center", "requester", "lease", "plan", "name", "on_behalf_of")
    return {
        "id": "l-1",
        "created_at": "2026-11-02T09:00:00Z",
        "gates": [{"name": name, "state": "GO"} for name in gates],
        "unheard_of": 1,
        **{name: question[name] for name in fields},
        **more,
    }


def differs(made: Bundle, **asks: Any) -> tuple[str, str] | None:
    """Return how the launch was and would be judged, or nothing if that is the same."""
    found = policy_replay.compare(made, [policy_replay.read(view(**asks))])
    return (found[0].then.words, found[0].now.words) if found else None


DEAR = replaced('decimal("500.0")', 'decimal("1.0")')
CHEAP = replaced('decimal("500.0")', 'decimal("50000.0")')
CLAIMS = '[[claims]]\nissuer = "https://x"\nclaim = "groups"\nvalue = "eng"\ngroup = "developers"'


@pytest.mark.parametrize(
    ("changed", "asks", "expected"),
    [
        ({}, {}, None),
        ({}, {"by": OPS, "gates": ()}, None),
        ({}, {"template": "gpu-large", "gates": ("finance", "lead")}, None),
        ({}, {"gates": ("review",), "break_glass": True}, None),
        ({"policies": DEAR}, {}, ("gates lead", "gates finance lead")),
        (
            {"policies": CHEAP},
            {"template": "gpu-large", "gates": ("lead", "finance")},
            ("gates finance lead", "gates lead"),
        ),
        ({"prices": replaced('"0.0104"', '"10.4"')}, {}, ("gates lead", "gates finance lead")),
        ({"prices": replaced('"t3.micro"', '"t3.nano"')}, {}, ("gates lead", "refused")),
        ({"people": replaced('subject = "dev"', 'subject = "x"')}, {}, ("gates lead", "refused")),
        ({"people": also(CLAIMS)}, {"by": STRANGER, "groups": ["developers"]}, None),
        ({"people": also(CLAIMS)}, {"by": STRANGER}, ("gates lead", "refused")),
        ({"people": also(CLAIMS)}, {"by": STRANGER, "groups": ["gone"]}, ("gates lead", "refused")),
        ({}, {"gates": ()}, ("direct", "gates lead")),
        ({}, {"by": OPS}, ("gates lead", "direct")),
        (
            {},
            {"template": "gpu-large", "gates": ("review",), "break_glass": True},
            ("break_glass review", "refused"),
        ),
    ],
)
def test_what_would_be_judged_otherwise(changed: Any, asks: Any, expected: tuple[str, str] | None):
    """A changed limit, price, person or group shows in whoever it touches, and in nobody else."""
    assert differs(bundle(**changed), **asks) == expected


def test_a_template_that_is_gone_is_a_difference():
    """And no error: that nobody could ask for it any more is what the writer wants to know."""
    made = bundle(gpu_large=None)
    (found,) = policy_replay.compare(
        made, [policy_replay.read(view(template="gpu-large", gates=("lead", "finance")))]
    )
    assert (found.now.outcome, found.now.reason) == ("refused", "There is no template 'gpu-large'.")


def test_a_longer_lease_is_judged_by_what_it_adds():
    """It costs what its template makes, for so much longer; a rule for extensions changes its answer."""
    question = msgspec.to_builtins(longer(asked(example(), "web-small"), "7d"))
    past = policy_replay.read(
        {**view(gates=()), **{one: question[one] for one in ("lease", "plan", "reason")}}
    )
    assert policy_replay.compare(example(), [past]) == []
    tight = bundle(policies=replaced('decimal("20.0")', 'decimal("1.0")'))
    (found,) = policy_replay.compare(tight, [past])
    assert (found.then.words, found.now.words) == ("direct", "gates lead")
    assert (
        policy_replay.compare(bundle(policies=replaced('decimal("20.0")', 'decimal("1.76")')), [past]) == []
    )


def test_whom_nobody_could_approve_any_more_is_refused():
    """The very function that answers a dry run judges, the people who are left included."""
    alone = replaced('groups = ["leads"]', 'groups = ["leads", "developers"]')
    made = bundle(people=alone)
    lead = next(one for one, person in made.people.items() if person.name == "lead")
    assert differs(made, by=lead) == ("gates lead", "refused")
    assert policy.eligible(made, "lead", asked(made, by=lead)) == frozenset()
