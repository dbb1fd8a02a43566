"""Files of stacks/ are of a bundle: named, small enough, of its digest, and there where a template names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gonogo.core import bundle_rules
from gonogo.core.bundle import LARGEST_STACK, digest_of
from gonogo.core.errors import BundleRefusedError
from tests.core.builders import also, policy_files

EXAMPLES = Path(__file__).parents[2] / "examples" / "stacks"
QUEUE = 'Resources: {Queue: {Type: "AWS::SQS::Queue"}}\n'


def files(**stacks: str) -> dict[str, str]:
    """Return the example policy with the template of a stack, and with files of stacks/ by their names."""
    found = policy_files(
        prices=also((EXAMPLES / "prices.toml").read_text()),
        site=(EXAMPLES / "templates" / "site.toml").read_text(),
    )
    return found | {"stacks/site.yaml": QUEUE} | {f"stacks/{name}": text for name, text in stacks.items()}


def faults(given: dict[str, str]) -> list[str]:
    """Return what is wrong with a bundle."""
    try:
        bundle_rules.load(given)
    except BundleRefusedError as error:
        return [str(one) for one in error.faults]
    return []


def test_a_stack_is_of_the_bundle_and_of_its_digest() -> None:
    """What is launched is approved with the policy that it was judged by."""
    bundle = bundle_rules.load(files())
    assert bundle.files["stacks/site.yaml"] == QUEUE
    assert digest_of(files()) != digest_of({**files(), "stacks/site.yaml": QUEUE + " "})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"stacks/site.yaml" ', '"stacks/none.yaml" ', "templates/site.toml:17"),
        ('"stacks/site.yaml" ', '"policies.cedar" ', "templates/site.toml:17"),
        ('engine = "cloudformation"', 'engine = "cloudformation"\npartial = true', "templates/site.toml:4"),
    ],
)
def test_a_template_that_names_no_stack_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    """It could never be launched, and nobody could read what it makes."""
    given = files()
    assert old in given["templates/site.toml"]
    given["templates/site.toml"] = given["templates/site.toml"].replace(old, new)
    (fault,) = faults(given)
    assert fault.startswith(said)


@pytest.mark.parametrize(
    "name",
    [
        "site.txt",
        "sub/site.yaml",
        ".yaml",
        "a b.yaml",
        "site.yaml\n",
        "..yaml",
        "\N{LATIN SMALL LETTER A WITH DIAERESIS}.yaml",
    ],
)
def test_only_templates_lie_in_stacks(name: str) -> None:
    """A name is shown to whoever approves, and is a file in whatever folder it is checked out to."""
    given = files()
    given[f"stacks/{name}"] = QUEUE
    assert any("stacks/" in one for one in faults(given))


def test_a_stack_is_no_larger_than_cloudformation_takes() -> None:
    """It would be refused only after everybody has approved it."""
    given = files(**{"large.yaml": "#" * (LARGEST_STACK + 1)})
    (fault,) = faults(given)
    assert fault.startswith("stacks/large.yaml")
    assert faults(files(**{"large.yaml": "#" * LARGEST_STACK})) == []
