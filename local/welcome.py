"""What a new user is told to do next, as commands to copy."""

from urllib.parse import urlsplit

from local.aws import ACCOUNT, REGION
from local.page import Step

ASK = '{"template":"web-small","reason":"Trying gonogo","cost_center":"demo"}'


def steps(url: str, aws_url: str) -> list[Step]:
    """Return the steps of a first launch, for the addresses of this run."""
    ask = (
        f"""TOKEN=$(curl -s {url}_local/token -d '{{"person":"dev"}}' | cut -d'"' -f4)""",
        f"""curl -s {url}v1/launches -H "Authorization: Bearer $TOKEN" \\""",
        f"""  -H "Content-Type: application/json" -d '{ASK}'""",
    )
    subscribe = (
        f"export AWS_ENDPOINT_URL={aws_url} AWS_DEFAULT_REGION={REGION} \\",
        "  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
        f"aws --endpoint-url {aws_url} sqs create-queue --queue-name mine",
        "aws events put-rule --event-bus-name gonogo --name mine \\",
        """  --event-pattern '{"source":["gonogo"]}'""",
        "aws events put-targets --event-bus-name gonogo --rule mine \\",
        f"  --targets Id=mine,Arn=arn:aws:sqs:{REGION}:{ACCOUNT}:mine",
        f"aws --endpoint-url {aws_url} sqs receive-message --max-number-of-messages 10 \\",
        f"  --queue-url {aws_url}/{ACCOUNT}/mine",
    )
    listen = f".venv/bin/python -m local listen --aws-port {urlsplit(aws_url).port}"
    later = f"""curl -s {url}_local/clock -d '{{"advance":"4d"}}'"""
    return [
        Step("Ask for a launch, as dev, a developer", "\n".join(ask)),
        Step("Read the mail that lead got, and say go by its link", f"{url}_local/"),
        Step("The same mail for a program", f"curl -s {url}_local/mail"),
        Step("See your launches, signed in as anybody", f"{url}home"),
        Step("See what a month cost, per cost center and day", f"{url}usage"),
        Step("Hear every event, by a queue of your own (this needs nothing else)", listen),
        Step("The same with the AWS command line; any AWS client will do", "\n".join(subscribe)),
        Step("See a gate expire without waiting for it: jump ahead", later),
    ]


def text(url: str, aws_url: str, took: float) -> str:
    """Return what a terminal shows when all is up; `took` is in seconds."""
    lines = [
        "",
        f"gonogo is up, after {took:.1f} s.",
        "",
        f"  API and pages  {url}",
        f"  start here     {url}_local/",
        f"  signed in      {url}home and {url}usage",
        f"  AWS endpoint   {aws_url}",
    ]
    for number, step in enumerate(steps(url, aws_url), start=1):
        lines += ["", f"{number}. {step.title}:", *(f"   {line}" for line in step.command.splitlines())]
    return "\n".join([*lines, "", "Ctrl-C ends it.", ""])
