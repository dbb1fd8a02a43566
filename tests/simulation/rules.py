"""What policy says, twice: as the bundles that gonogo reads, and as tables by which the simulation judges gonogo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache

from gonogo.core.bundle import digest_of
from tests.core.builders import ISSUER, policy_files, replaced, somebody
from tests.gated import SCHEMA
from tests.service import lives

SCANNER, FACTORY, ROBOT = "scanner", "factory", "robot"
OWNERS = {ROBOT: "lead2"}
"""Who answers for a service, and so never approves what it asks for."""
SUBNETS = ("subnet-1", "subnet-2")
AWAY = "210987654321"
"""The other account."""


@dataclass(frozen=True)
class Rules:
    """What a bundle says, in a form that no code of gonogo reads."""

    files: Mapping[str, str] = field(repr=False)
    developers: frozenset[str] = frozenset({"dev"})
    leads: frozenset[str] = frozenset({"lead", "lead2", "lead3"})
    finance: frozenset[str] = frozenset({"finance"})
    operators: frozenset[str] = frozenset({"ops"})
    services: frozenset[str] = frozenset()
    quorum: int = 1
    reject_quorum: int = 1
    needs: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: {
            "web-small": frozenset({"lead"}),
            "gpu-large": frozenset({"lead", "finance"}),
        }
    )
    budget: Decimal = Decimal(20000)
    extends_below: Decimal = Decimal(20)
    signed_in_only: frozenset[str] = frozenset()
    proposers: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The bundle's digest."""
        return digest_of(self.files)

    def may_decide(self, gate: str, *, escalated: bool = False) -> frozenset[str]:
        """Return who may decide a gate, whoever asked."""
        if gate == "scan" and not escalated:
            return frozenset({SCANNER})
        if gate == "finance":
            return self.finance
        more = self.operators if gate == "lead" and escalated else frozenset()
        return self.leads | more

    def quorum_of(self, gate: str) -> int:
        """Return how many must say go."""
        return self.quorum if gate == "lead" else 1

    def reject_quorum_of(self, gate: str) -> int:
        """Return how many noes reject."""
        return self.reject_quorum if gate == "lead" else 1


GATES = """
[scan]
title = "Scanner"
kind = "hook"
expires_after = "2h"
on_expiry = "escalate"
escalate_to = "lead"

[lead]
title = "Team lead"
quorum = 1
reject_quorum = 1
valid_for = "8h"
remind_every = "8h"
escalate_after = "1d"
escalate_to = "operators"

[finance]
title = "Finance"
stage = 2
login = true

[calm]
title = "Calm"
kind = "timer"
wait = "2h"

[audit]
title = "Audit"
place = "after_launch"
on_reject = "terminate"
expires_after = "1d"

[review]
title = "Review"
place = "after_launch"
expires_after = "1d"

[policy]
title = "Policy"
"""

PERMITS = """
permit (principal in Group::"operators", action == Action::"launch", resource);
@gate("lead")
permit (principal in Group::"developers", action == Action::"request", resource);
@gate("finance")
permit (principal in Group::"developers", action == Action::"request", resource)
when { context.monthly_cost.greaterThan(decimal("500.0")) };
@gate("finance")
permit (principal in Group::"developers", action == Action::"request", resource)
when { context has budget && context.budget.overrun };
@gate("scan")
permit (principal in Group::"developers", action == Action::"request", resource == Template::"gpu-large");
@gate("calm")
permit (principal in Group::"developers", action == Action::"request", resource == Template::"gpu-large");
@gate("audit")
permit (principal in Group::"developers", action == Action::"request", resource)
when { [Template::"spread", Template::"batch"].contains(resource) };
permit (principal in Group::"developers", action == Action::"extend", resource)
when { context.worst_case_cost.lessThan(decimal("5.0")) };
permit (principal in Group::"leads", action == Action::"approve", resource)
when { [Gate::"lead", Gate::"review", Gate::"audit", Gate::"policy"].contains(resource) };
permit (principal in Group::"finance", action == Action::"approve", resource == Gate::"finance");
permit (principal == Person::"http://gonogo.local#scanner", action == Action::"approve", resource == Gate::"scan");
@gate("review") @tell("operators")
permit (principal in Group::"developers", action == Action::"break_glass", resource == Template::"web-small");
permit (principal in Group::"operators", action == Action::"change_policy", resource == Gate::"policy");
permit (principal in Group::"leads", action == Action::"change_policy", resource == Gate::"policy");
permit (principal in Group::"operators", action == Action::"delegate", resource);
permit (principal in Group::"developers", action == Action::"act_for", resource);
"""

GROUPS = """
[groups]
developers = "May ask for launches"
leads = "Say go for their teams"
finance = "Say go for what is dear"
operators = "May launch at once"
"""

SPREAD = f"""
title = "Two in two subnets, or of another type"
engine = "ec2"
region = "us-east-1"
lease = {{ default = "8h", max = "14d" }}

[parameters.properties.count]
type = "integer"
minimum = 1
maximum = 3
default = 2

[spec]
image_id = "ami-0123456789abcdef0"
instance_type = "t3.micro"
count = {{ parameter = "count" }}
subnet_ids = ["{SUBNETS[0]}", "{SUBNETS[1]}"]

[[choices]]
instance_type = "t3.small"
"""

ELSEWHERE = f"""
title = "One in another account and region"
engine = "ec2"
region = "eu-central-1"
lease = {{ default = "8h", max = "14d" }}

[account]
role = "arn:aws:iam::{AWAY}:role/gonogo-launcher"
observer = "arn:aws:iam::{AWAY}:role/gonogo-observer"
external_id = "gonogo-7f3a"

[parameters.properties.count]
type = "integer"
minimum = 1
maximum = 2
default = 1

[spec]
image_id = "ami-0123456789abcdef0"
instance_type = "t3.micro"
count = {{ parameter = "count" }}
"""

BATCH = """
title = "A batch of jobs"
engine = "event"
region = "factory"
lease = { default = "8h", max = "14d" }

[parameters.properties.count]
type = "integer"
minimum = 1
maximum = 9
default = 2

[spec]
reporter = { issuer = "http://gonogo.local", subject = "factory" }
units = [{ kind = "job", quantity = { parameter = "count" } }]

[spec.order]
queue = "night"
"""

PRICES = """
version = "2026-11-01"
currency = "USD"

[minimum]
ec2 = "60s"

[hourly.ec2.us-east-1]
"t3.micro" = "0.0104"
"t3.small" = "0.0208"
"p4d.24xlarge" = "21.957642"

[hourly.ec2.eu-central-1]
"t3.micro" = "0.0120"

[hourly.event.factory]
job = "0.25"
"""

BUDGET = Decimal(300)


def _people(rules: Rules) -> str:
    groups = {
        "developers": rules.developers - {ROBOT},
        "leads": rules.leads,
        "finance": rules.finance,
        "operators": rules.operators,
    }
    hooked = {"lead": lives.HOOK, "lead3": lives.OPEN_HOOK}
    names = ("dev", "dev2", "chief", "lead", "lead2", "lead3", "finance", "finance2", "ops", "deputy")
    found = []
    for name in names:
        reached = [] if name == "lead3" else [f'mail = "{name}@example.com"']
        reached += [hooked[name]] if name in hooked else []
        found.append(
            somebody(name, *(one for one, who in groups.items() if name in who), more="\n".join(reached))
        )
    scan = 'webhook = { url = "https://hooks.example.com/scan", secret = "lead", private = true }'
    found.append(somebody(SCANNER, more=f"service = true\n{scan}"))
    found.append(somebody(FACTORY, more="service = true"))
    owner = f'service = true\nowner = "{ISSUER}#{OWNERS[ROBOT]}"'
    found.append(somebody(ROBOT, "developers", more=owner))
    return GROUPS + "".join(found)


def _rules(**changed: object) -> Rules:
    """Return the rules of the simulation's own policy, with some of them changed."""
    said = Rules(
        files={},
        **{  # type: ignore[arg-type]
            "developers": frozenset({"dev", "dev2", "chief", ROBOT}),
            "leads": frozenset({"lead", "lead2", "lead3", "chief"}),
            "finance": frozenset({"finance", "finance2"}),
            "services": frozenset({SCANNER, FACTORY, ROBOT}),
            "needs": {
                "web-small": frozenset({"lead"}),
                "gpu-large": frozenset({"scan", "lead", "finance", "calm"}),
                "spread": frozenset({"lead"}),
                "elsewhere": frozenset({"lead"}),
                "batch": frozenset({"lead"}),
            },
            "budget": BUDGET,
            "extends_below": Decimal(5),
            "signed_in_only": frozenset({"finance"}),
            "proposers": frozenset({"ops", "lead", "chief"}),
            "others": ("deputy",),
            **changed,
        },
    )
    example = policy_files()
    gates = GATES.replace(
        "quorum = 1\nreject_quorum = 1", f"quorum = {said.quorum}\nreject_quorum = {said.reject_quorum}"
    )
    extend = replaced('"request", "break_glass" appliesTo', '"request", "break_glass", "extend" appliesTo')
    files = {
        "gates.toml": gates,
        "policies.cedar": PERMITS,
        "schema.cedarschema": extend(SCHEMA),
        "people.toml": _people(said),
        "prices.toml": PRICES,
        "budgets.toml": f'[training]\nmonthly = "{BUDGET}"\n',
        "templates/web-small.toml": example["templates/web-small.toml"],
        "templates/gpu-large.toml": example["templates/gpu-large.toml"],
        "templates/spread.toml": SPREAD,
        "templates/elsewhere.toml": ELSEWHERE,
        "templates/batch.toml": BATCH,
    }
    return Rules(**{**vars(said), "files": files})


@cache
def every_kind() -> tuple[Rules, ...]:
    """Return the rules of everything, and what they may be changed to: the first are in force from the beginning."""
    base = _rules()
    return (
        base,
        _rules(quorum=2, reject_quorum=2),
        _rules(leads=base.leads - {"lead"}, finance=base.finance - {"finance2"}),
        _rules(leads=base.leads - {"lead2", "chief"}, developers=base.developers - {"dev2"}),
        _rules(operators=frozenset({"lead3"}), leads=base.leads - {"lead3"}),
    )


@cache
def of_example(quorum: int) -> tuple[Rules, ...]:
    """Return the rules of the example policy with more leads, and a quorum."""
    files = lives.policy() if quorum == 1 else lives.policy_of_two()
    return (Rules(files=files, quorum=quorum, proposers=frozenset({"ops"})),)


@cache
def known() -> Mapping[str, Rules]:
    """Return all of these rules by their bundle's digest."""
    return {one.digest: one for one in (*every_kind(), *of_example(1), *of_example(2))}
