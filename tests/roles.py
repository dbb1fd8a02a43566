"""The roles of a template of which nothing is deployed: its resources have the names that are given, or plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.aws import ACCOUNT, REGION
from local.roles import PSEUDO, Roles

SERVICES = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/"),
    "AWS::Events::EventBus": ("events", "event-bus/"),
    "AWS::IAM::Role": ("iam", "role/"),
    "AWS::KMS::Key": ("kms", "key/"),
    "AWS::Logs::LogGroup": ("logs", "log-group:"),
    "AWS::S3::Bucket": ("s3", ""),
    "AWS::SQS::Queue": ("sqs", ""),
}
"""How the ARN of what roles refer to is built: the service, and what stands before the name."""


def undeployed(
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    names: Mapping[str, str] | None = None,
    account: str = ACCOUNT,
) -> Roles:
    """Return the roles of a template before SAM's transform.

    `names` gives the physical name (for a queue and a key: the last part of its ARN) of resources that exist
    somewhere; all others are named by their logical id.
    """
    named = names or {}

    def arn(logical_id: str) -> str:
        service, prefix = SERVICES[template["Resources"][logical_id]["Type"]]
        if service == "s3":  # whose names are the whole partition's
            return f"arn:aws:s3:::{named.get(logical_id, logical_id)}"
        region = "" if service == "iam" else REGION
        suffix = ":*" if service == "logs" else ""
        name = named.get(logical_id, logical_id)
        return f"arn:aws:{service}:{region}:{account}:{prefix}{name}{suffix}"

    def look(logical_id: str, attribute: str | None) -> str:
        if logical_id == "AWS::AccountId":
            return account
        if logical_id in PSEUDO:
            return PSEUDO[logical_id]
        if attribute == "Arn":
            return arn(logical_id)
        if attribute == "StreamArn":
            return f"{arn(logical_id)}/stream/2026-01-01T00:00:00.000"
        return named.get(logical_id, logical_id)

    return Roles(template, parameters, look)
