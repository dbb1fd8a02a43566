"""Resolvers that ask nobody: a spec is checked as at submitting, and aliases stay what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from gonogo.aws import engines
from gonogo.aws.engines import ec2
from gonogo.aws.engines.cloudformation import CloudFormationResolver
from gonogo.aws.engines.ec2 import ALIAS, Ec2Resolver
from gonogo.aws.engines.event import Event
from gonogo.aws.engines.stepfunctions import Spec, StepFunctionsResolver
from gonogo.core.errors import Fault, InvalidError, LaterError, RefusedError
from gonogo.core.plan import EVENT_ENGINE, Place, Unit
from gonogo.ports import Resolver

OFFLINE = "Offline"


class Ec2Offline(Ec2Resolver):
    """The resolver of ec2, but an image alias is taken for the image, and a launch template stays as it is named."""

    def _image(self, name: str, place: Place) -> str:
        del place
        return ALIAS + name

    def _pinned(self, spec: ec2.Spec, named: ec2.Template, place: Place) -> ec2.Spec:
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


class StepFunctionsOffline(StepFunctionsResolver):
    """The resolver of stepfunctions, but a state machine or an alias of it is taken for a version."""

    def _version(self, asked: Spec, place: Place) -> str:
        del place
        return asked.state_machine_arn


class _Others:
    """The resolver of somebody else's engine, which may find that it cannot do without asking."""

    def __init__(self, engine: str) -> None:
        self._inner, self._engine = engines.offline(engine, _nobody), engine

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        try:
            return self._inner.resolve(spec, place, files)
        except RefusedError as error:
            if error.code != OFFLINE:
                raise
            raise InvalidError(
                Fault("/template", OFFLINE.lower(), f"the engine {self._engine!r} cannot check it: {error}")
            ) from error


def resolver(engine: str) -> Resolver:
    """Return the resolver of an engine.

    Raises:
        RefusedError: there is no engine by that name.
    """
    if engine == "ec2":
        return Ec2Offline(_nobody)
    if engine == "cloudformation":
        return CloudFormationResolver(_nobody)
    if engine == "stepfunctions":
        return StepFunctionsOffline(_nobody)
    if engine == EVENT_ENGINE:
        return Event()
    return _Others(engine)


def _nobody(service: str, place: Place) -> NoReturn:
    raise RefusedError(OFFLINE, f"{service} in {place.region} is not asked here")
