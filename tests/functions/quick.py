"""What a pretended AWS makes anew for each world though no test looks at it, made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from unittest import mock

import boto3
import botocore.session
import moto.ec2.models.amis
import moto.kms.models
from botocore.loaders import create_loader
from moto.ec2.models.amis import Ami, AmiBackend
from moto.kms.utils import generate_private_key
from moto.utilities.utils import load_resource

LATEST = "ec2/resources/latest_amis/{}.json"


@contextmanager
def quick() -> Iterator[None]:
    """Keep clients, what they are made from, and key pairs; know of images only the latest Amazon Linux."""
    with ExitStack() as patches:
        for owner, name, instead in (
            (botocore.session, "create_loader", _loader),
            (boto3, "client", _client),
            (moto.kms.models, "generate_private_key", _key_pair),
            (AmiBackend, "_load_amis", _few_images),
        ):
            patches.enter_context(mock.patch.object(owner, name, instead))
        yield


_loader = cache(create_loader)
_key_pair = cache(generate_private_key)
_make: Any = boto3.client
_clients: dict[str, Any] = {}


def _client(service: str, **options: Any) -> Any:
    """Return the client of these options: it has no state that one world could leave to another."""
    config = options.get("config")
    who = options.get("aws_access_key_id")
    where = f"{options.get('region_name')} {os.environ.get('AWS_ENDPOINT_URL')}"
    key = f"{service} {where} {who} {vars(config) if config else None}"
    if key not in _clients:
        _clients[key] = _make(service, **options)
    return _clients[key]


def image(region: str) -> str:
    """Return the id of an image that is known in a region."""
    return str(load_resource(LATEST.format(region))[0]["ami_id"])


def _few_images(backend: Any) -> None:
    for image in load_resource(LATEST.format(backend.region_name)):
        backend.amis[image["ami_id"]] = Ami(
            backend, **{**image, "owner_alias": "amazon", "creation_date": None}
        )
