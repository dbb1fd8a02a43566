"""The command `gonogo`: ask for launches, decide them, see what became of them, and keep the policy.

It leaves with 0 when done, 1 when refused or failed, 2 when used wrongly, 3 when a wait took too long.
"""

from __future__ import annotations


def main() -> None:
    """Run the command."""
    from gonogo.cli.app import app  # importing the package costs nothing

    app(prog_name="gonogo")
