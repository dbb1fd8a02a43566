"""What the packaged template promises of every resource, whoever adds one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint_file  # type: ignore[import-untyped]

from functions import deliver
from functions import notify as by_mail
from functions.headers import SECURITY_HEADERS
from gonogo import webhook
from gonogo.aws import mail
from gonogo.core import event as events
from gonogo.service import notify
from infra.package import PROJECT
from local import pattern
from local import template as templates
from tests import packaged
from tests.package.test_roles import PARAMETERS
from tests.roles import undeployed

QUEUES = ("NotifyQueue", "DeliverQueue", "LaunchQueue", "ObserveQueue", "AnchorQueue")
FUNCTIONS = ("APIHandler", "Publish", "Notify", "Deliver", "Launch", "Observe", "Wake", "Anchor")


def of_type(template: Mapping[str, Any], kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the properties of each resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def att(value: Any) -> str | None:
    """Return the logical id that a value is an attribute of, or refers to."""
    if isinstance(value, dict) and "Fn::If" in value:
        return att(value["Fn::If"][2])
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        return str(value["Fn::GetAtt"][0])
    if isinstance(value, dict) and "Ref" in value:
        return str(value["Ref"])
    return None


def dead_letters(template: Mapping[str, Any]) -> set[str]:
    """Return every queue that something puts aside what it could not handle."""
    found = {
        att(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in of_type(template, "AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue
    }
    found |= {
        att(target["DeadLetterConfig"]["Arn"])
        for rule in of_type(template, "AWS::Events::Rule").values()
        for target in rule["Targets"]
        if "DeadLetterConfig" in target
    }
    found |= {
        att(mapping["DestinationConfig"]["OnFailure"]["Destination"])
        for mapping in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if "DestinationConfig" in mapping
    }
    return {name for name in found if name is not None}


def named(value: Any) -> set[str]:
    """Return the logical ids of all that a value may come to, whichever way its conditions go."""
    if isinstance(value, list):
        return {name for one in value for name in named(one)}
    if isinstance(value, dict) and "Fn::If" in value:
        return named(value["Fn::If"][1:])
    found = att(value)
    return {found} - {None, "AWS::NoValue"}  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["account", "forward"])
def test_cfn_lint_finds_nothing_in_what_is_deployed_elsewhere(name: str) -> None:
    """As for the stack itself; what is deployed in ten accounts is mended in ten."""
    path = PROJECT / "infra" / f"{name}.yaml"
    assert [str(match) for match in lint_file(path, config=ManualArgs(regions=["us-east-1"]))] == []


@pytest.mark.parametrize("stage", ["packaged", "transformed"])
def test_cfn_lint_finds_nothing(package: packaged.Package, stage: str, tmp_path: Path) -> None:
    """CloudFormation finds a misspelt property only when it is deployed, after minutes."""
    path = package.template
    if stage == "transformed":
        path = tmp_path / "template.json"
        path.write_text(json.dumps(package.cloudformation()))
    found = lint_file(path, config=ManualArgs(regions=["us-east-1"]))
    assert [f"{match.rule.id} {'/'.join(map(str, match.path))}: {match.message}" for match in found] == []


def test_every_resource_has_a_type(template: dict[str, Any]) -> None:
    """A function's name misspelt in infra/template.yaml is merged as a resource of its own, silently."""
    assert [name for name, resource in template["Resources"].items() if "Type" not in resource] == []
    assert set(of_type(template, "AWS::Serverless::Function")) == set(FUNCTIONS)


def test_every_parameter_and_output_is_described(template: dict[str, Any]) -> None:
    """Who deploys reads the description, not the code."""
    assert [name for name, one in template["Parameters"].items() if not one.get("Description")] == []
    chalice = {"APIHandlerArn", "APIHandlerName", "EndpointURL", "RestAPIId"}
    assert [
        name
        for name, one in template["Outputs"].items()
        if not one.get("Description") and name not in chalice
    ] == []


def test_only_https_identity_providers_are_taken(template: dict[str, Any]) -> None:
    """Keys fetched over http are whoever's keys stand in between."""
    for name in ("OidcIssuer", "OidcJwksUri"):
        assert template["Parameters"][name]["AllowedPattern"].startswith("^https://")


def test_table_outlives_mistakes(template: dict[str, Any]) -> None:
    """Approvals and their history are kept against deletion, against bad writes, and encrypted."""
    table = template["Resources"]["Table"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = table["Properties"]
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["DeletionProtectionEnabled"] == {"Ref": "TableProtection"}
    assert template["Parameters"]["TableProtection"]["Default"] == "true"


def test_indexes_hold_only_what_lists_show(template: dict[str, Any]) -> None:
    """Each copy of an attribute costs a write each time the item changes."""
    indexes = template["Resources"]["Table"]["Properties"]["GlobalSecondaryIndexes"]
    assert {index["IndexName"]: index["Projection"].get("NonKeyAttributes", []) for index in indexes} == {
        "feed": ["summary"],
        "state": ["summary"],
        "due": [],
    }


@pytest.mark.parametrize("name", QUEUES)
def test_every_queue_gives_its_function_time_and_tries(template: dict[str, Any], name: str) -> None:
    """A message seen again while its function still works on it is work done twice (Lambda guide, SQS)."""
    queue = template["Resources"][name]["Properties"]
    mapping = next(
        one
        for one in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if att(one["EventSourceArn"]) == name
    )
    function = template["Resources"][att(mapping["FunctionName"])]["Properties"]
    waits = mapping.get("MaximumBatchingWindowInSeconds", 0)
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + waits
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    assert att(queue["RedrivePolicy"]["deadLetterTargetArn"]) in of_type(template, "AWS::SQS::Queue")


@pytest.mark.parametrize(
    ("function", "time", "longest"),
    [("Notify", by_mail.TIME, 3 + mail.READ), ("Deliver", deliver.TIME, webhook.DEADLINE)],
)
def test_whoever_tells_has_stopped_before_lambda_stops_it(
    template: dict[str, Any], function: str, time: timedelta, longest: float
) -> None:
    """A batch that Lambda ends comes again whole, and after five times never."""
    timeout = template["Resources"][function]["Properties"]["Timeout"]
    assert time.total_seconds() + longest + 10 < timeout


def test_every_queue_is_encrypted_and_has_dead_letters_or_holds_them(template: dict[str, Any]) -> None:
    """A message that nobody can handle must be found again, as long as SQS keeps it."""
    dead = dead_letters(template)
    for name, queue in of_type(template, "AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name
        assert ("RedrivePolicy" in queue) != (name in dead), name
        if name in dead:
            assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600, name


def test_every_dead_letter_alarms(template: dict[str, Any]) -> None:
    """Dead letters that nobody hears of are lost all the same."""
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    watched = {
        att(one["Dimensions"][0]["Value"])
        for one in alarms
        if one["MetricName"] == "ApproximateNumberOfMessagesVisible"
        and (one["Threshold"], one["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    }
    assert watched == dead_letters(template)


def test_functions_stream_and_clock_alarm(template: dict[str, Any]) -> None:
    """A function that fails, events that come late, and a clock that stands still are seen by nobody else."""
    alarms = of_type(template, "AWS::CloudWatch::Alarm").values()
    watched = {(one["MetricName"], att(one["Dimensions"][0]["Value"])) for one in alarms}
    assert {("Errors", name) for name in FUNCTIONS} <= watched
    assert {("IteratorAge", "Publish"), ("Invocations", "Wake")} <= watched
    assert "5XXError" in {one["MetricName"] for one in alarms}
    assert all(one["AlarmActions"] for one in alarms)


def test_every_mapping_reports_single_failures(template: dict[str, Any]) -> None:
    """Without it one poison message brings back its whole batch."""
    mappings = of_type(template, "AWS::Lambda::EventSourceMapping")
    assert {att(one["EventSourceArn"]) for one in mappings.values()} == {*QUEUES, "Table"}
    for name, mapping in mappings.items():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name


def test_stream_is_retried_for_its_day_and_no_longer(template: dict[str, Any]) -> None:
    """An outage of the bus loses nothing; what the stream would forget is put aside just before it does."""
    mapping = template["Resources"]["PublishMapping"]["Properties"]
    assert mapping["MaximumRetryAttempts"] == -1
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 20 * 3600 < mapping["MaximumRecordAgeInSeconds"] < 24 * 3600
    assert att(mapping["DestinationConfig"]["OnFailure"]["Destination"]) == "PublishDead"
    assert mapping["StartingPosition"] == "TRIM_HORIZON"


def test_rules_put_aside_what_they_cannot_deliver(template: dict[str, Any]) -> None:
    """EventBridge drops what it could not deliver for a day, unless told where to."""
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        if "ScheduleExpression" not in rule:
            assert all("DeadLetterConfig" in target for target in rule["Targets"]), name


def test_rules_pass_on_what_their_functions_act_upon(template: dict[str, Any]) -> None:
    """An event that no rule names is a mail that nobody gets; one that nobody knows is misspelt."""
    known = {one.type for one in heirs(events.Data)}
    telling = {"gate.opened", "gate.decided", "gate.closed", "delivery.due", *notify.ABOUT_THE_LAUNCH}
    for name, acted_upon in (
        ("NotifyRule", telling),
        ("DeliverRule", telling),
        ("LaunchRule", {"launch.cleared", "launch.change_requested"}),
    ):
        pattern = template["Resources"][name]["Properties"]["EventPattern"]
        assert pattern["source"] == [events.SOURCE]
        assert acted_upon <= set(pattern["detail-type"]) <= known, name


def heirs(kind: type[events.Data]) -> Iterator[type[events.Data]]:
    """Return every event that there is."""
    for one in kind.__subclasses__():
        if "type" in vars(one):
            yield one
        yield from heirs(one)


def test_only_its_rule_may_fill_a_queue(template: dict[str, Any]) -> None:
    """A queue that any rule of any account could fill would take anybody's cue."""
    granted: dict[str | None, set[str]] = {}
    for policy in of_type(template, "AWS::SQS::QueuePolicy").values():
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Action"] == "sqs:SendMessage"
        for queue in policy["Queues"]:
            granted[att(queue)] = named(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
    needed: dict[str | None, set[str]] = {}
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for target in rule["Targets"]:
            for arn in (target["Arn"], target.get("DeadLetterConfig", {}).get("Arn")):
                if att(arn) in of_type(template, "AWS::SQS::Queue"):
                    needed.setdefault(att(arn), set()).add(name)
    assert granted == needed


def test_only_the_rule_may_publish_to_the_topic(template: dict[str, Any]) -> None:
    """Subscribers of the topic take what it says for gonogo's word."""
    (statement,) = template["Resources"]["TopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sns:Publish"
    assert att(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == "AllEventsRule"


def test_only_publish_may_put_events(template: dict[str, Any]) -> None:
    """Whoever could put an event could tell every subscriber that a launch was cleared."""
    properties = template["Resources"]["BusPolicy"]["Properties"]
    statement = properties["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == (
        "Deny",
        "*",
        "events:PutEvents",
    )
    assert att(statement["Resource"]) == "Bus"
    others = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert named(others) == {"PublishRole", "ReplayRoleArn"}
    for replays in ("", "arn:aws:iam::123456789012:role/replay"):
        found = undeployed(template, PARAMETERS | {"ReplayRoleArn": replays}, {}).of(others)
        assert found == ["arn:aws:iam::123456789012:role/PublishRole", *([replays] if replays else [])]


def test_every_function_logs_to_a_group_that_forgets(template: dict[str, Any]) -> None:
    """A log group that Lambda makes by itself keeps everything for ever."""
    groups = of_type(template, "AWS::Logs::LogGroup")
    for name, function in of_type(template, "AWS::Serverless::Function").items():
        assert att(function["LoggingConfig"]["LogGroup"]) in groups, name
    assert {att(group["RetentionInDays"]) for group in groups.values()} == {"LogRetentionDays"}


def test_api_is_throttled_and_logs_no_bodies(template: dict[str, Any]) -> None:
    """A token is only ever in a body; data tracing would write it down."""
    api = template["Resources"]["RestAPI"]["Properties"]
    for settings in api["MethodSettings"]:
        assert settings["ThrottlingRateLimit"] > 0
        assert settings["ThrottlingBurstLimit"] > 0
        assert settings["DataTraceEnabled"] is False
        assert "LoggingLevel" not in settings
    logged = json.loads(api["AccessLogSetting"]["Fn::If"][1]["Format"])
    assert not {"body", "path", "authorizer"} & {
        part.split(".")[0].lower() for value in logged.values() for part in [value.removeprefix("$context.")]
    }


def test_a_flood_of_one_route_leaves_the_others(template: dict[str, Any]) -> None:
    """S15: what strangers can flood, and the way by which one decides signed in, have each a bucket of their own."""
    api = template["Resources"]["RestAPI"]["Properties"]
    everywhere, *own = (
        (one["HttpMethod"], one["ResourcePath"].replace("~1", "/").replace("//", "/"))
        for one in api["MethodSettings"]
    )
    assert everywhere == ("*", "/*")
    routes = {
        (method.upper(), path)
        for path, methods in api["DefinitionBody"]["paths"].items()
        for method in methods
    }
    assert set(own) <= routes, "a setting of a method that is none"
    assert set(own) >= {
        ("POST", "/decide"),
        ("POST", "/v1/decisions"),
        ("POST", "/v1/launches"),
        ("POST", "/v1/launches/{id}/decisions"),
    }


def test_the_limit_of_an_address_is_an_option(template: dict[str, Any]) -> None:
    """A web ACL costs money, and refuses whoever shares an address with a stranger: nobody has one unasked."""
    assert template["Parameters"]["SourceLimit"]["Default"] == 0
    for name in ("SourceAcl", "SourceAclAssociation"):
        assert template["Resources"][name]["Condition"] == "HasSourceLimit"
    (rule,) = template["Resources"]["SourceAcl"]["Properties"]["Rules"]
    assert rule["Statement"]["RateBasedStatement"]["Limit"] == {"Ref": "SourceLimit"}
    assert rule["Action"]["Block"]["CustomResponse"]["ResponseCode"] == 429


def test_clock_ticks_each_minute(template: dict[str, Any]) -> None:
    """Reminders, expiries and lost events all wait for the next tick."""
    rule = template["Resources"]["WakeRule"]["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert att(rule["Targets"][0]["Arn"]) == "Wake"
    permission = template["Resources"]["WakePermission"]["Properties"]
    assert att(permission["SourceArn"]) == "WakeRule"


ANCHORING = ("Rule", "Queue", "Dead", "QueuePolicy", "Mapping", "Bucket", "BucketPolicy", "", "Logs", "Role",
             "DeadAlarm", "ErrorsAlarm")  # fmt: skip


def test_anchors_cost_nothing_unless_they_are_wanted(template: dict[str, Any]) -> None:
    """A queue that nobody needs is polled all day, and a bucket with Object Lock cannot be deleted."""
    assert template["Parameters"]["Anchors"]["Default"] == "off"
    anchoring = {f"Anchor{name}" for name in ANCHORING}
    conditional = {
        name for name, one in template["Resources"].items() if one.get("Condition") == "HasAnchors"
    }
    assert conditional == anchoring == {name for name in template["Resources"] if name.startswith("Anchor")}
    everything = {"source": [events.SOURCE]}
    assert template["Resources"]["AnchorRule"]["Properties"]["EventPattern"] == everything


def test_what_is_anchored_is_locked(template: dict[str, Any]) -> None:
    """Without a default, whoever writes would say for how long; without versions, whoever writes could overwrite."""
    bucket = template["Resources"]["AnchorBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = bucket["Properties"]
    assert properties["ObjectLockEnabled"] is True
    assert properties["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": {"Ref": "AnchorMode"}, "Days": {"Ref": "AnchorDays"}}},
    }
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert template["Parameters"]["AnchorMode"]["AllowedValues"] == ["GOVERNANCE", "COMPLIANCE"]
    statements = template["Resources"]["AnchorBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert {one["Effect"] for one in statements} == {"Deny"}
    denied = {one["Sid"]: one for one in statements}
    assert denied["NobodyHidesOrDeletesBeforeTime"]["Action"] == [
        "s3:BypassGovernanceRetention",
        "s3:DeleteObject",
    ]
    assert "Condition" not in denied["NobodyHidesOrDeletesBeforeTime"]
    writer = denied["OnlyItsFunctionWrites"]["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert (denied["OnlyItsFunctionWrites"]["Action"], att(writer)) == ("s3:PutObject", "AnchorRole")
    assert denied["OverTlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_dashboard_is_json(template: dict[str, Any]) -> None:
    """CloudWatch takes the body as text, and says what is wrong with it only when it is deployed."""
    body = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    assert len(body["widgets"]) == 6


def test_template_has_no_yaml_left(package: packaged.Package) -> None:
    """CloudFormation does not read YAML's aliases, and Chalice writes them."""
    assert package.template.suffix == ".json"


def environments(template: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Return the names of each function's environment."""
    shared = set(template["Globals"]["Function"]["Environment"]["Variables"])
    for name, function in of_type(template, "AWS::Serverless::Function").items():
        yield name, shared | set(function.get("Environment", {}).get("Variables", {}))


def test_each_function_is_told_only_what_it_needs(template: dict[str, Any]) -> None:
    """A function that never hears of a key, a bus or a sender cannot leak or use it."""
    everywhere = {"GONOGO_TABLE", "GONOGO_EPOCH"}
    assert dict(environments(template)) == {
        "APIHandler": everywhere
        | {
            "GONOGO_HOOK_KEYS",
            "GONOGO_ISSUERS",
            "GONOGO_LAUNCHES_PER_HOUR",
            "GONOGO_PEOPLE_KEYS",
            "GONOGO_SIGN_IN",
        },
        "Publish": everywhere | {"GONOGO_BUS", "GONOGO_PUBLISH_DEAD"},
        "Notify": everywhere | {"GONOGO_MAIL_FROM", "GONOGO_PEOPLE_KEYS", "GONOGO_PUBLIC_URL"},
        "Deliver": everywhere | {"GONOGO_HOOK_KEYS", "GONOGO_PUBLIC_URL"},
        "Launch": everywhere,
        "Observe": everywhere,
        "Wake": everywhere | {"GONOGO_SCAN"},
        "Anchor": everywhere | {"GONOGO_ANCHORS"},
    }


def test_pages_sign_in_only_where_all_of_it_is_given(template: dict[str, Any]) -> None:
    """Half a provider would be a button that leads nowhere."""
    variables = template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    given = {
        "OidcClientId": "gonogo-pages",
        "OidcAuthorizeUri": "https://login.example.com/authorize",
        "OidcTokenUri": "https://login.example.com/token",
    }
    told = undeployed(template, PARAMETERS | given, {}).of(variables)["GONOGO_SIGN_IN"]
    assert json.loads(told) == {
        "client_id": "gonogo-pages",
        "authorize_uri": "https://login.example.com/authorize",
        "token_uri": "https://login.example.com/token",
    }
    for one in given:
        told = undeployed(template, PARAMETERS | given | {one: ""}, {}).of(variables)
        assert "GONOGO_SIGN_IN" not in told, one


def test_every_parameter_is_in_the_documents() -> None:
    """Who deploys finds out what can be chosen by reading, not by deploying."""
    text = (PROJECT / "docs" / "deploy.md").read_text()
    for name in ("template", "account", "forward"):
        for parameter in templates.read(PROJECT / "infra" / f"{name}.yaml")["Parameters"]:
            assert f"`{parameter}`" in text, (name, parameter)


# What is heard elsewhere


def test_what_is_forwarded_is_what_is_observed(template: dict[str, Any]) -> None:
    """What one rule lets through and the other does not is lost, or goes the way for nothing."""
    (rule,) = of_type(templates.read(PROJECT / "infra" / "forward.yaml"), "AWS::Events::Rule").values()
    at_home = [
        template["Resources"][name]["Properties"]["EventPattern"]
        for name in ("ObserveRule", "ObserveStacksRule", "ObserveExecutionsRule")
    ]
    del at_home[-1]["detail"]["stateMachineArn"]  # which of them count is known at home only
    assert rule["EventPattern"] == {"$or": at_home}


def test_only_listed_accounts_tell_this_one(template: dict[str, Any]) -> None:
    """The default bus carries what everything else in the account reacts to."""
    policy = template["Resources"]["DefaultBusPolicy"]
    statement = policy["Properties"]["Statement"]
    assert policy["Condition"] == "HasForwardingAccounts"
    assert statement["Principal"] == {"AWS": {"Ref": "ForwardingAccounts"}}
    assert statement["Action"] == "events:PutEvents"
    sources = {
        source
        for name in ("ObserveRule", "ObserveStacksRule", "ObserveExecutionsRule")
        for source in template["Resources"][name]["Properties"]["EventPattern"]["source"]
    }
    assert set(statement["Condition"]["StringEquals"]["events:source"]) == sources


@pytest.mark.parametrize(
    ("engine", "passes"),
    [
        ("ec2", "not"),
        ("policy", "not"),
        ("lease", "not"),
        ("cloudformation", "through"),
        ("event", "through"),
        ("one-of-our-own", "through"),
    ],
)
def test_launches_of_other_engines_are_the_cue_to_look(
    template: dict[str, Any], engine: str, passes: str
) -> None:
    """EC2 tells of instances by itself; of what others made perhaps nobody else does."""
    wanted = template["Resources"]["ObserveLaunchesRule"]["Properties"]["EventPattern"]
    told = {
        "source": "gonogo",
        "detail-type": "launch.started",
        "detail": {"data": {"launch": {"engine": engine}}},
    }
    assert pattern.matches(wanted, told) is (passes == "through")


# Files for billing

BILLING = (
    "BillingRule",
    "BillingRuleRole",
    "BillingDead",
    "BillingDeadPolicy",
    "BillingStream",
    "BillingStreamRole",
    "BillingLogs",
    "BillingLogStream",
    "BillingBucket",
    "BillingBucketPolicy",
    "BillingDeadAlarm",
    "BillingFilesAlarm",
)


def test_files_are_an_option(template: dict[str, Any]) -> None:
    """Who bills from the bus pays for no bucket."""
    resources = template["Resources"]
    assert {name for name in resources if name.startswith("Billing")} == set(BILLING)
    assert {resources[name].get("Condition") for name in BILLING} == {"HasBillingFiles"}
    rule = resources["BillingRule"]["Properties"]["EventPattern"]
    for option, expected in (
        ("usage", {"source": ["gonogo"], "detail-type": ["usage.recorded"]}),
        ("all", {"source": ["gonogo"]}),
    ):
        assert undeployed(template, PARAMETERS | {"BillingFiles": option}, {}).of(rule) == expected


def test_files_are_kept_as_bills_are(template: dict[str, Any]) -> None:
    """What was billed is shown to auditors for years: encrypted, never public, never overwritten."""
    bucket = template["Resources"]["BillingBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    document = template["Resources"]["BillingBucketPolicy"]["Properties"]["PolicyDocument"]
    (statement,) = document["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_each_line_of_a_file_is_one_event(template: dict[str, Any]) -> None:
    """Firehose writes records one after the other: without a newline they are one endless line."""
    rule = template["Resources"]["BillingRule"]["Properties"]
    assert [target["InputPath"] for target in rule["Targets"]] == ["$.detail"]
    stream = template["Resources"]["BillingStream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    assert stream["ProcessingConfiguration"] == {
        "Enabled": True,
        "Processors": [{"Type": "AppendDelimiterToRecord"}],
    }


def test_files_are_written_by_the_rule_alone(template: dict[str, Any]) -> None:
    """A line that anybody could write would be a bill that anybody could write."""
    trusts = {
        "BillingRuleRole": ("events.amazonaws.com", {"firehose:PutRecord", "firehose:PutRecordBatch"}),
        "BillingStreamRole": ("firehose.amazonaws.com", None),
    }
    for role, (service, allowed) in trusts.items():
        properties = template["Resources"][role]["Properties"]
        (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": service}
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        statements = properties["Policies"][0]["PolicyDocument"]["Statement"]
        assert not [one for one in statements if one["Resource"] == "*"]
        if allowed is not None:
            assert {action for one in statements for action in one["Action"]} == allowed


def test_the_gateway_answers_as_we_do(template: dict[str, Any]) -> None:
    """What never reaches a function carries the same headers, and says nothing that was sent (a bearer, say)."""
    (api,) = of_type(template, "AWS::Serverless::Api").values()
    answers = api["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    assert set(answers) >= {
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "MISSING_AUTHENTICATION_TOKEN",
        "REQUEST_TOO_LARGE",
        "THROTTLED",
    }
    wanted = {**SECURITY_HEADERS, "Content-Type": "application/problem+json"}
    wanted["Content-Security-Policy"] = wanted["Content-Security-Policy"].replace(" 'none'", "") + "; sandbox"
    for name, one in answers.items():
        said = {
            key.removeprefix("gatewayresponse.header."): value
            for key, value in one["responseParameters"].items()
        }
        assert said.items() >= {key: f"'{value}'" for key, value in wanted.items()}.items(), name
        assert not any("'" in value[1:-1] for value in said.values())
        (text,) = one["responseTemplates"].values()
        assert "$" not in text
        assert json.loads(text)["type"].startswith("urn:gonogo:problem:")
        assert str(json.loads(text).get("status")) in (one.get("statusCode"), "None")
