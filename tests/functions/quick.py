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
import moto.core.responses
import moto.core.utils
import moto.ec2.models.amis
import moto.kms.models
from botocore.loaders import create_loader
from moto.core.serialize import AttributePicker, XFormedAttributePicker
from moto.ec2.models.amis import Ami, AmiBackend
from moto.kms.utils import generate_private_key
from moto.utilities.utils import load_resource

from tests.remembering import checked_bundles

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
            (AttributePicker, "get_possible_keys", _keys(AttributePicker.get_possible_keys)),
            (XFormedAttributePicker, "get_possible_keys", _keys(XFormedAttributePicker.get_possible_keys)),
            (moto.core.utils, "camelcase_to_underscores", _in_snake_case),
            (moto.core.responses, "camelcase_to_underscores", _in_snake_case),
            (moto.core.responses, "method_names_from_class", _method_names),
        ):
            patches.enter_context(mock.patch.object(owner, name, instead))
        patches.enter_context(checked_bundles())
        yield


def _keys(find: Any) -> Any:
    """Return what tells under which names a member may stand in an answer: by its shape and the answer's class."""
    known: dict[Any, tuple[Any, ...]] = {}

    def possible(self: Any, context: Any) -> tuple[Any, ...]:
        key = (type(self), *self.alias_providers, type(context.obj), context.key, id(context.shape))
        if key not in known:
            known[key] = (
                context.shape,
                *find(self, context),
            )  # the shape is kept, and so its id is no other's
        return known[key][1:]

    return possible


_in_snake_case = cache(moto.core.utils.camelcase_to_underscores)
_method_names = cache(moto.core.utils.method_names_from_class)
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
