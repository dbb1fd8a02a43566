"""Signing secrets of webhooks, kept as SecureStrings in the Systems Manager parameter store."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from gonogo.aws.clients import call, client

FOLDER = "/gonogo/webhooks/"


class Parameters:
    """`ports.Secrets` on SSM: a parameter is one secret, or several with spaces between, newest first."""

    def __init__(self, region: str) -> None:
        """Nothing is called yet."""
        self._region = region

    @cached_property
    def _ssm(self) -> Any:
        return client("ssm", self._region)

    def read(self, name: str) -> tuple[str, ...]:
        """Read one parameter of the folder that the function's role may read."""
        answer = call(self._ssm.get_parameter, Name=FOLDER + name, WithDecryption=True)
        return tuple(str(answer["Parameter"]["Value"]).split())
