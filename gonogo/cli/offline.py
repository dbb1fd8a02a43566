"""Resolvers that ask nobody: a spec is checked as at submitting, and aliases stay what they are."""

from __future__ import annotations

from typing import NoReturn

from gonogo.aws.engines.ec2 import ALIAS, Ec2Resolver, Spec, Template
from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.plan import Place
from gonogo.ports import Resolver


class Ec2Offline(Ec2Resolver):
    """The resolver of ec2, but an image alias is taken for the image, and a launch template stays as it is named."""

    def _image(self, name: str, place: Place) -> str:
        del place
        return ALIAS + name

    def _pinned(self, spec: Spec, named: Template, place: Place) -> Spec:
        """Return the spec as it is.

        Raises:
            LaterError: the instance type is left to the launch template, so that there is no price here.
        """
        del place
        if spec.instance_type is None:
            raise LaterError(
                f"what instance type {named.id} version {named.version} has cannot be looked up here;"
                " name `instance_type` in the template"
            )
        return spec


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
