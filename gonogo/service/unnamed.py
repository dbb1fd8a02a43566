"""What the engines have in common that no template names, and that make nothing which could be found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gonogo.core.errors import Fault, InvalidError
from gonogo.core.plan import Place, Plan, Unit


class Unnamed:
    """The part of `ports.Engine` that such an engine need not write: it resolves nothing, and finds nothing."""

    def resolve(
        self, spec: Mapping[str, Any], place: Place, files: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[Unit, ...]]:
        """Refuse: no template names this engine."""
        del spec, place, files
        raise InvalidError(Fault("/template", "engine", "is none that a template can name"))

    def find(self, plan: Plan, *, token: str) -> tuple[str, ...]:
        """Return nothing: what it did is no resource."""
        del plan, token
        return ()
