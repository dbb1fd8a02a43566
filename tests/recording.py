"""Notes what each Lambda function asks of AWS while it runs, as IAM sees it: by its own role, or by one it took."""

from __future__ import annotations

from local.iam import Call


class Recorder:
    """Collects what a guard hears, by the function's logical id.

    What a function asks by a role of another account is noted under that role's ARN instead: there its own role
    counts for nothing.
    """

    def __init__(self) -> None:
        """Nothing has been heard yet."""
        self.calls: dict[str, set[Call]] = {}
        self.refused: list[tuple[str, Call, str]] = []

    def heard(self, who: str, call: Call, why: str | None) -> None:
        """Note a call, and why it was refused if it was."""
        self.calls.setdefault(who, set()).add(call)
        if why is not None:
            self.refused.append((who, call, why))
