"""Resolvers that ask nobody: a spec is checked as at submitting, and aliases stay what they are."""

from __future__ import annotations

from typing import NoReturn

from gonogo.aws.engines.ec2 import ALIAS, Ec2Resolver
from gonogo.core.errors import RefusedError
from gonogo.core.plan import Place
from gonogo.ports import Resolver


class Ec2Offline(Ec2Resolver):
    """The resolver of ec2, but an image alias is taken for the image."""

    def _image(self, name: str, region: str) -> str:
        del region
        return ALIAS + name


def resolver(engine: str) -> Resolver:
    """Return the resolver of an engine.

    Raises:
        RefusedError: there is no engine by that name.
    """
    if engine != "ec2":
        raise RefusedError("NoSuchEngine", f"there is no engine {engine!r}")
    return Ec2Offline(_nobody)


def _nobody(service: str, place: Place) -> NoReturn:
    raise RefusedError("Offline", f"{service} in {place.region} is not asked here")
