"""The policy's commands: a bundle is checked whole where it is written, and published only if it is whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from gonogo.core.published import CURRENT, CurrentPolicy
from local.aws import REGION
from tests.cli.shell import Answers, Shell
from tests.functions.world import World, example

CASES = "tests.toml"
TRAINING = 'cost_center = "training"\n'
ENGINEER = 'subject = "x"\nclaims = { groups = ["eng"] }'


@pytest.fixture(name="bundle")
def bundle_to_edit(tmp_path: Path) -> Path:
    """Give a copy of the example policy, with people of a real issuer."""
    for name, text in example().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("http://gonogo.local", "https://issuer.example.com"))
    return tmp_path


@pytest.fixture(name="offline")
def shell_to_nowhere() -> Shell:
    """Give a shell that reaches nothing and has no settings."""
    shell = Shell(Answers({}))
    shell.environment |= {"GONOGO_URL": None, "GONOGO_TOKEN": None, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    return shell


def edit(bundle: Path, name: str, old: str, new: str) -> None:
    """Replace what stands in a file of the bundle."""
    text = (bundle / name).read_text()
    assert old in text
    (bundle / name).write_text(text.replace(old, new))


def add_case(bundle: Path, text: str) -> None:
    """Add a case."""
    with (bundle / CASES).open("a") as file:
        file.write(f"\n[[case]]\n{text}\n")


def test_the_example_policy_holds(offline: Shell):
    """It is what a new user starts from; and nothing outside is asked, its image alias included."""
    result = offline("policy", "check", "policy")
    assert result.exit_code == 0, result.output
    assert " cases hold" in result.stdout
    assert "http://gonogo.local is not https" in result.stderr


def test_the_digest_is_the_one_that_will_be_in_force(world: World, offline: Shell, bundle: Path):
    """A review of one digest must be a review of what is published."""
    files = {
        path.relative_to(bundle).as_posix(): path.read_text() for path in bundle.rglob("*") if path.is_file()
    }
    report = json.loads(offline("policy", "check", str(bundle), "--json").stdout)
    assert (report["holds"], report["bundle"]) == (True, world.publish(files))


def test_all_faults_are_listed_at_once(offline: Shell, bundle: Path):
    """Mending one at a time is a morning's work."""
    edit(bundle, "gates.toml", 'quorum = 1\nexpires_after = "3d"', 'quorum = 0\nexpires_after = "30d"')
    edit(bundle, "people.toml", 'groups = ["leads"]', 'groups = ["nobody"]')
    edit(bundle, "templates/web-small.toml", 'parameter = "count"', 'parameter = "many"')
    (bundle / CASES).write_text("[[case]]\nname = 1\n")
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1
    for part in ("quorum", "7d at most", "'nobody'", "'many'", "tests.toml"):
        assert part in result.stdout, part
    faults = json.loads(offline("policy", "check", str(bundle), "--json").stdout)["faults"]
    assert {one["pointer"] for one in faults} == {
        "gates.toml:9",
        "gates.toml:10",
        "gates.toml:29",
        "gates.toml:30",
        "people.toml:21",
        "templates/web-small.toml:17",
        f"{CASES}:2",
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('instance_type = "t3.micro"', 'instance_type = "t3.mikro"', "'t3.mikro'"),
        ('instance_type = "t3.micro"', 'instance_tipe = "t3.micro"', "instance_tipe"),
        ('engine = "ec2"', 'engine = "ec3"', "'ec3'"),
        ("default = 1", "default = 9", "maximum of 4"),
        ("resolve:ssm:/aws", "resolve:ssm:aws", "image_id"),
    ],
)
def test_a_template_that_nobody_could_launch_is_a_fault(offline: Shell, bundle: Path, old, new, said):
    """Who writes it should hear of it, and not who asks for it on a Friday night."""
    edit(bundle, "templates/web-small.toml", old, new)
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1, result.output
    assert said in " ".join(result.stdout.split())


LAUNCH_TEMPLATE = 'launch_template = { id = "lt-0123456789abcdef0", version = "$Latest" }'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('instance_type = "t3.micro"', "", "`instance_type` is missing"),
        ('instance_type = "t3.micro"', f"{LAUNCH_TEMPLATE.replace('$Latest', 'new')}", "launch_template"),
        (
            'instance_type = "t3.micro"',
            (
                'instance_type = "t3.micro"\nsubnet_id = "subnet-0123456789abcdef0"\n'
                'subnet_ids = ["subnet-0123456789abcdef1"]'
            ),
            "both `subnet_id` and `subnet_ids`",
        ),
        ("[spec]", '[[choices]]\ninstance_type = "t3.mikro"\n\n[spec]', "'t3.mikro'"),
        ("[spec]", "[[choices]]\ncount = 0\n\n[spec]", "count"),
    ],
)
def test_a_choice_or_launch_template_that_nobody_could_launch_is_a_fault(
    offline: Shell, bundle: Path, old, new, said
):
    """As above: a choice is needed when there is no time to mend it."""
    edit(bundle, "templates/web-small.toml", old, new)
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1, result.output
    assert said in " ".join(result.stdout.split())


def test_a_launch_template_is_not_looked_up_and_is_no_fault(offline: Shell, bundle: Path):
    """Whoever writes policy need have no AWS at hand; where the type stands beside it, cases are answered."""
    path = "templates/web-small.toml"
    edit(bundle, path, "image_id = ", "# image_id = ")
    edit(bundle, path, 'instance_type = "t3.micro"', f'instance_type = "t3.micro"\n{LAUNCH_TEMPLATE}')
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 0, result.output


def test_a_case_whose_price_a_launch_template_knows_is_a_fault(offline: Shell, bundle: Path):
    """An answer by a price of nothing would say one thing, and the API another."""
    edit(bundle, "templates/web-small.toml", 'instance_type = "t3.micro"', LAUNCH_TEMPLATE)
    for command in ("check", "test"):
        result = offline("policy", command, str(bundle))
        assert result.exit_code == 1, result.output
        shown = " ".join(result.stdout.split())
        assert "lt-0123456789abcdef0 version $Latest" in shown
        assert "name `instance_type` in the template" in shown
    (bundle / CASES).unlink()
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 0, result.output


def test_each_value_of_a_choice_is_tried(offline: Shell, bundle: Path):
    """One of three sizes without a price is found by the third user otherwise."""
    edit(
        bundle,
        "templates/web-small.toml",
        'instance_type = "t3.micro"',
        'instance_type = { parameter = "size" }',
    )
    size = 'enum = ["t3.micro", "t3.small", "t3.huge"]\ndefault = "t3.micro"'
    edit(bundle, "templates/web-small.toml", "[spec]", f"[parameters.properties.size]\n{size}\n\n[spec]")
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1
    assert "'t3.huge'" in result.stdout
    assert "t3.small" not in result.stdout


def test_a_case_that_is_answered_otherwise_fails_and_says_how(offline: Shell, bundle: Path):
    """The point of a case is the day when somebody edits a rule."""
    edit(bundle, "policies.cedar", 'decimal("500.0")', 'decimal("50000.0")')
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1
    assert "2 of 11 cases fail" in result.stdout
    lines = [one.strip() for one in result.stdout.splitlines()]
    at = lines.index("FAIL  a developer asks for something dear")
    assert lines[at + 1 : at + 3] == ["expected gates finance lead", "answered gates lead"]


@pytest.mark.parametrize(
    ("case", "holds"),
    [
        (
            'person = "dev"\nparameters = { count = 4 }\nexpect = { outcome = "gates", gates = ["lead"] }',
            True,
        ),
        ('person = "dev"\nparameters = { count = 5 }\nexpect = { outcome = "invalid" }', True),
        ('person = "dev"\nlease = "91d"\nexpect = { outcome = "invalid" }', True),
        ('person = "dev"\nexpect = { outcome = "gates", gates = ["lead", "finance"] }', False),
        ('person = "dev"\nexpect = { outcome = "direct" }', False),
        (
            'issuer = "https://issuer.example.com"\nsubject = "ops"\nexpect = { outcome = "direct" }',
            True,
        ),
        ('issuer = "https://issuer.example.com"\nsubject = "x"\nexpect = { outcome = "refused" }', True),
        ('person = "ops"\non_behalf_of = "dev"\nexpect = { outcome = "refused" }', True),
        (
            f'issuer = "https://ci.example.com"\n{ENGINEER}\nexpect = {{outcome="gates", gates=["lead"]}}',
            True,
        ),
        (f'issuer = "https://else.example.com"\n{ENGINEER}\nexpect = {{ outcome = "refused" }}', True),
    ],
)
def test_a_case_is_answered_as_a_request_would_be(offline: Shell, bundle: Path, case, holds):
    """A case that is judged by other rules than requests proves nothing."""
    with (bundle / "people.toml").open("a") as file:
        file.write('\n[[claims]]\nissuer = "https://ci.example.com"\nclaim = "groups"\nvalue = "eng"\n')
        file.write('group = "developers"\n')
    add_case(bundle, f'name = "mine"\ntemplate = "web-small"\n{case}')
    report = json.loads(offline("policy", "check", str(bundle), "--json").stdout)
    assert report["faults"] == []
    assert report["cases"][-1]["holds"] is holds
    assert report["holds"] is holds


@pytest.mark.parametrize(
    "case",
    [
        'template = "web-small"\nexpect = { outcome = "direct" }',
        'template = "web-small"\nperson = "nobody"\nexpect = { outcome = "direct" }',
        'template = "web-small"\nperson = "dev"\nissuer = "i"\nsubject = "s"\nexpect = {outcome = "direct"}',
        'template = "web-small"\nissuer = "i"\nexpect = { outcome = "direct" }',
        'template = "web-big"\nperson = "dev"\nexpect = { outcome = "invalid" }',
        'template = "web-small"\nperson = "dev"\nexpect = { outcome = "gates" }',
        'template = "web-small"\nperson = "dev"\nexpect = { outcome = "gates", gates = ["legal"] }',
        'template = "web-small"\nperson = "dev"\nexpect = { outcome = "direct", gates = ["lead"] }',
        'template = "web-small"\nperson = "dev"\nexpect = { outcome = "perhaps" }',
        'template = "web-small"\nperson = "dev"\nparameter = { count = 1 }\nexpect = { outcome = "direct" }',
        'template = "web-small"\nperson = "dev"\non_behalf_of = "nobody"\nexpect = { outcome = "direct" }',
    ],
)
def test_a_case_that_could_never_mean_anything_is_a_fault(offline: Shell, bundle: Path, case):
    """A case with a misspelt word would pass or fail for no reason."""
    add_case(bundle, f'name = "mine"\n{case}')
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1
    assert "tests.toml" in result.stdout


def test_what_is_not_of_the_bundle_is_named(offline: Shell, bundle: Path):
    """A template in a misspelt folder is simply not there otherwise."""
    (bundle / "template").mkdir()
    (bundle / "template" / "new.toml").write_text("")
    (bundle / ".git").mkdir()
    (bundle / ".git" / "HEAD").write_text("")
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 0
    assert "template/new.toml is not part of the bundle" in result.stderr
    assert ".git" not in result.output


def test_a_file_that_is_no_text_is_a_fault(offline: Shell, bundle: Path):
    """Not a trace."""
    (bundle / "gates.toml").write_bytes(b"\xff\xfe")
    result = offline("policy", "check", str(bundle))
    assert result.exit_code == 1
    assert "gates.toml" in result.stdout


@pytest.mark.parametrize(
    ("case", "holds"),
    [
        ('break_glass = true\nexpect = { outcome = "break_glass", gates = ["review"] }', True),
        ('break_glass = true\nexpect = { outcome = "direct" }', False),
        (
            f'{TRAINING}committed = "20000.00"\nexpect = {{ outcome = "gates", gates = ["lead", "finance"] }}',
            True,
        ),
        (
            'cost_center = "training"\ncommitted = "900.00"\nexpect = { outcome = "gates", gates = ["lead"] }',
            True,
        ),
        ('expect = { outcome = "gates", gates = ["lead"], approvers = { lead = ["lead"] } }', True),
        ('expect = { outcome = "gates", gates = ["lead"], approvers = { lead = ["lead", "ops"] } }', False),
        ('expect = { outcome = "gates", gates = ["lead"], approvers = { lead = [] } }', False),
    ],
)
def test_a_case_of_glass_budget_and_approvers(offline: Shell, bundle: Path, case, holds):
    """Who may decide, and what a budget has left, are answers that an edit can change unseen."""
    (bundle / CASES).write_text(f'[[case]]\nname = "mine"\ntemplate = "web-small"\nperson = "dev"\n{case}\n')
    result = offline("policy", "test", str(bundle))
    assert result.exit_code == (0 if holds else 1), result.output
    assert ("1 cases hold" in result.stdout) is holds


@pytest.mark.parametrize(
    "case",
    [
        'cost_center = "x"\ncommitted = "1"\nexpect = { outcome = "direct" }',
        'expect = { outcome = "break_glass" }',
        'expect = { outcome = "gates", gates = ["lead"], approvers = { finance = ["finance"] } }',
        'expect = { outcome = "gates", gates = ["lead"], approvers = { lead = ["nobody"] } }',
    ],
)
def test_an_expectation_that_could_never_mean_anything_is_a_fault(offline: Shell, bundle: Path, case):
    """It leads to the very line, as every fault does."""
    (bundle / CASES).write_text(f'[[case]]\nname = "mine"\ntemplate = "web-small"\nperson = "dev"\n{case}\n')
    faults = json.loads(offline("policy", "test", str(bundle), "--json").stdout)["faults"]
    lines = (bundle / CASES).read_text().splitlines()
    assert faults
    for one in faults:
        assert lines[int(one["pointer"].split(":")[1]) - 1].startswith(("expect", "committed"))


def test_only_the_cases_are_run(offline: Shell, bundle: Path):
    """A template that could not be launched is for `check`; who edits a rule wants its cases."""
    edit(bundle, "templates/gpu-large.toml", 'http_tokens = "required"', 'http_tokens = "perhaps"')
    (bundle / CASES).write_text(
        '[[case]]\nname = "mine"\ntemplate = "web-small"\nperson = "ops"\nexpect = { outcome = "direct" }\n'
    )
    assert offline("policy", "check", str(bundle)).exit_code == 1
    assert offline("policy", "test", str(bundle)).exit_code == 0


# -- replaying ------------------------------------------------------------------------------------


@pytest.fixture(name="here")
def example_to_edit(tmp_path: Path) -> Path:
    """Give a copy of the example policy as it is, whose people have asked for something."""
    for name, text in example().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_what_would_be_judged_otherwise_is_shown(world: World, shell: Shell, here: Path):
    """Before a rule is changed, see whom it would have touched."""
    small = world.ask()["id"]
    world.settle()
    direct = world.ask(who="ops")["id"]
    same = shell("policy", "replay", str(here))
    assert same.exit_code == 0, same.output
    assert "0 of 2 launches would be judged otherwise" in same.stdout

    edit(here, "policies.cedar", 'decimal("500.0")', 'decimal("0.0")')
    edit(here, "people.toml", 'subject = "ops"', 'subject = "another"')
    found = json.loads(shell("policy", "replay", str(here), "--json").stdout)
    assert found["launches"] == 2
    assert {one["launch"]: (one["then"], one["now"]) for one in found["differences"]} == {
        small: (
            {"outcome": "gates", "gates": ["lead"]},
            {"outcome": "gates", "gates": ["finance", "lead"]},
        ),
        direct: ({"outcome": "direct", "gates": []}, {"outcome": "refused", "gates": []}),
    }
    shown = " ".join(shell("policy", "replay", str(here)).stdout.split())
    assert "2 of 2 launches would be judged otherwise" in shown
    assert "finance" in shown
    assert json.loads(shell("policy", "replay", str(here), "--last", "1", "--json").stdout)["launches"] == 1


def test_a_bundle_that_is_refused_judges_nothing(shell: Shell, here: Path):
    """Its answers would be no answers."""
    edit(here, "gates.toml", "stage = 2", "stage = 0")
    result = shell("policy", "replay", str(here))
    assert result.exit_code == 1
    assert "gates.toml:14" in result.stderr


# -- publishing -----------------------------------------------------------------------------------


def publish(shell: Shell, world: World, bundle: Path, *more: str, typed: str = ""):
    """Publish into the world's table."""
    table = ("--table", world.gonogo.settings.table, "--region", REGION)
    return shell("policy", "publish", str(bundle), *table, *more, typed=typed, AWS_ENDPOINT_URL=None)


def in_force(world: World) -> str:
    """Return the digest of the policy in force."""
    policy = world.gonogo.items.get(CurrentPolicy, CURRENT)
    assert policy is not None
    return policy.bundle


def test_a_policy_is_published_after_a_look_and_a_yes(world: World, offline: Shell, bundle: Path):
    """Who publishes sees what they change."""
    before = in_force(world)
    result = publish(offline, world, bundle, typed="y\n")
    assert result.exit_code == 0, result.output
    assert in_force(world) != before
    shown = result.stdout.split("In force: ")
    assert before in shown[0]
    assert in_force(world) in shown[1]
    assert "people.toml: " in shown[0]
    assert "gates.toml" not in shown[0]


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_without_a_yes_nothing_is_published(world: World, offline: Shell, bundle: Path, typed):
    """The policy in force is who may spend what."""
    before = world.rows()
    assert publish(offline, world, bundle, typed=typed).exit_code == 1
    assert world.rows() == before


def test_publishing_again_asks_nothing_and_changes_nothing(world: World, offline: Shell, bundle: Path):
    """A pipeline publishes at each push."""
    first = publish(offline, world, bundle, "--yes", "--json")
    before = world.rows()
    again = publish(offline, world, bundle)
    assert again.exit_code == 0, again.output
    assert world.rows() == before
    assert json.loads(first.stdout)["bundle"] in again.stdout


def test_a_bundle_whose_cases_fail_is_not_published(world: World, offline: Shell, bundle: Path):
    """Cases that may fail are no cases."""
    edit(bundle, "policies.cedar", 'decimal("500.0")', 'decimal("50000.0")')
    before = world.rows()
    result = publish(offline, world, bundle, "--yes")
    assert result.exit_code == 1
    assert "2 of 11 cases fail" in result.stdout
    assert world.rows() == before


def test_only_people_of_trusted_https_issuers_are_published(world: World, offline: Shell, bundle: Path):
    """The example people sign in with keys that anybody can make."""
    before = world.rows()
    for folder, more in (("policy", ()), (str(bundle), ("--trust", "https://other.example.com"))):
        result = publish(offline, world, Path(folder), *more, "--yes")
        assert result.exit_code == 1
        assert "is not trusted here" in result.stderr
    assert publish(offline, world, bundle, "--trust", "http://gonogo.local", "--yes").exit_code == 2
    assert world.rows() == before
    assert publish(offline, world, bundle, "--trust", "https://issuer.example.com", "--yes").exit_code == 0


def test_checking_needs_no_aws_library_and_publishing_says_what_it_needs(
    offline: Shell, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever writes policy installs little; a trace of a missing module helps nobody."""
    for name in ("boto3", "botocore", "pynamodb", "gonogo.aws.table"):
        monkeypatch.setitem(sys.modules, name, None)
    assert offline("policy", "check", str(bundle)).exit_code == 0
    result = offline("policy", "publish", str(bundle), "--table", "t", "--region", REGION, "--yes")
    assert result.exit_code == 2
    assert "gonogo[publish]" in result.output


def test_a_table_that_is_not_there_is_a_message(world: World, offline: Shell, bundle: Path):
    """A wrong name is the commonest mistake of all."""
    assert world.gonogo.settings.table != "nowhere"
    result = publish(offline, world, bundle, "--table", "nowhere", "--yes")
    assert result.exit_code == 1
    assert "ResourceNotFound" in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.fixture(name="stacked")
def bundle_with_a_stack(bundle: Path) -> Path:
    """Give a bundle whose templates launch a stack and an execution."""
    examples = Path(__file__).parents[2] / "examples" / "stacks"
    (bundle / "stacks").mkdir()
    for path in (*examples.glob("templates/*"), *examples.glob("stacks/*")):
        (bundle / path.relative_to(examples)).write_text(path.read_text())
    with (bundle / "prices.toml").open("a") as prices:
        prices.write((examples / "prices.toml").read_text())
    return bundle


def test_stacks_and_executions_are_checked_without_asking_anybody(offline: Shell, stacked: Path):
    """The template of a stack is read as at submitting; a state machine is taken for a version."""
    result = offline("policy", "check", str(stacked))
    assert result.exit_code == 0, result.output
    assert "left out" not in result.output


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("stacks/site.yaml", "Type: AWS::SQS::Queue", "Type: [", "stacks/site.yaml:1"),
        ("stacks/site.yaml", "Type: String", "Type: AWS::SSM::Parameter::Value<String>", "stacks/site.yaml"),
        ("templates/site.toml", "stacks/site.yaml", "stacks/none.yaml", "templates/site.toml:17"),
        ("templates/site.toml", '["CAPABILITY_IAM"]', "[]", "templates/site.toml:19"),
        ("templates/site.toml", "{ Site =", "{ Sight =", "templates/site.toml:18"),
        ("templates/site.toml", 'kind = "site"', 'kind = "sight"', "templates/site.toml"),
        ("templates/nightly.toml", "stateMachine:nightly", "stateMachine", "templates/nightly.toml"),
    ],
)
def test_a_fault_of_a_stack_names_file_and_line(
    offline: Shell, stacked: Path, name: str, old: str, new: str, said: str
):
    """Whoever wrote it finds it, before anybody asks for it."""
    edit(stacked, name, old, new)
    result = offline("policy", "check", str(stacked))
    assert result.exit_code == 1, result.output
    assert said in result.output
