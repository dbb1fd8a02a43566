"""infra/template.yaml is read as CloudFormation would, and made whole."""

from datetime import timedelta
from pathlib import Path

import pytest

from local.stack import Stack
from local.template import TemplateError, Values, read

HOUSE = Path(__file__).parents[2]
PARAMETERS = {
    "MailFrom": "gonogo@example.com",
    "OidcIssuer": "http://gonogo.local",
    "OidcAudience": "gonogo",
    "OidcJwksUri": "http://127.0.0.1/jwks.json",
    "PublicUrl": "http://127.0.0.1/",
}


@pytest.fixture
def values(tmp_path):
    """Work out one expression, written in YAML."""

    def work_out(expression, **parameters):
        path = tmp_path / "template.yaml"
        path.write_text(
            f"""
            Parameters:
              Name: {{ Type: String, Default: world }}
              List: {{ Type: CommaDelimitedList, Default: "a,b" }}
              Empty: {{ Type: String, Default: "" }}
              Needed: {{ Type: String, Default: here }}
            Conditions:
              IsEmpty: !Equals [!Ref Empty, ""]
              IsNot: !Not [!Condition IsEmpty]
              Both: !And [!Condition IsEmpty, !Equals [!Ref Name, world]]
              Either: !Or [!Condition IsNot, !Condition Both]
            Value: {expression}
            """
        )
        template = read(path)
        known = {("Queue", None): "url", ("Queue", "Arn"): "arn:queue", ("AWS::Region", None): "here"}
        return Values(template, parameters, lambda name, attribute: known[name, attribute]).of(
            template["Value"]
        )

    return work_out


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("!Ref Name", "world"),
        ("!Ref List", ["a", "b"]),
        ("!Ref Queue", "url"),
        ("!GetAtt Queue.Arn", "arn:queue"),
        ("{'Fn::GetAtt': [Queue, Arn]}", "arn:queue"),
        (
            "!Sub 'hello ${Name} in ${AWS::Region}: ${Queue.Arn} ${!Name}'",
            "hello world in here: arn:queue ${Name}",
        ),
        ("!Sub ['${Other}-${Name}', {Other: !Ref Queue}]", "url-world"),
        ("!Join ['-', [!Ref Name, b]]", "world-b"),
        ("!Select [1, !Split [',', 'x,y']]", "y"),
        ("!If [IsEmpty, yes-it-is, no]", "yes-it-is"),
        ("!If [IsNot, a, b]", "b"),
        ("!If [Both, a, b]", "a"),
        ("!If [Either, a, b]", "a"),
        ("{kept: 1, gone: !If [IsNot, 1, !Ref 'AWS::NoValue']}", {"kept": 1}),
        ("[1, !Ref 'AWS::NoValue']", [1]),
        ("!Base64 hi", "aGk="),
    ],
)
def test_an_intrinsic_function_is_worked_out(values, expression, expected):
    """The environment of the functions is made of these, here as on AWS."""
    assert values(expression) == expected


@pytest.mark.parametrize("expression", ["!If [Missing, a, b]", "!ImportValue x"])
def test_what_cannot_be_worked_out_is_an_error(values, expression):
    """A guess would show up much later, as an odd name in a call."""
    with pytest.raises(TemplateError):
        values(expression)


def test_the_real_template_is_made_whole(moto):
    """Whoever adds a resource to the template decides at once what it means on one machine."""
    stack = Stack(read(HOUSE / "infra" / "template.yaml"), PARAMETERS)
    stack.make()
    environment = stack.environment()
    assert environment["GONOGO_PUBLIC_URL"] == "http://127.0.0.1/"
    assert environment["GONOGO_BUS"] == "gonogo"
    wired = {wire.function: wire.reports_failures for wire in stack.wires()}
    assert wired == dict.fromkeys(("Publish", "Notify", "Deliver", "Launch", "Observe"), True)
    (schedule,) = stack.schedules()
    assert (schedule.function, schedule.every) == ("Wake", timedelta(minutes=1))


def test_a_type_that_nobody_thought_of_is_an_error(moto):
    """Left out in silence, it would work on AWS and not here, or the other way round."""
    template = {"Resources": {"Stream": {"Type": "AWS::Kinesis::Stream"}}}
    with pytest.raises(TemplateError, match=r"AWS::Kinesis::Stream"):
        Stack(template, {}).make()
