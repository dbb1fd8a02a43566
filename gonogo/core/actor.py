"""Who acts: an issuer and a subject, never an e-mail address or a name."""

from __future__ import annotations

import msgspec


class Actor(msgspec.Struct, frozen=True, order=True):
    """One identity as its issuer knows it (OpenID Connect Core 1.0, section 2: `iss` and `sub`)."""

    issuer: str
    subject: str

    @property
    def key(self) -> str:
        """One string for this actor and no other: an issuer has no fragment (OIDC Core 1.0, section 2)."""
        return f"{self.issuer}#{self.subject}"

    @classmethod
    def parse(cls, key: str) -> Actor:
        """Read `key` back.

        Raises:
            ValueError: there is no `#`, or nothing on one side of it.
        """
        issuer, mark, subject = key.partition("#")
        if not (issuer and mark and subject):
            raise ValueError("an actor is written issuer#subject")
        return cls(issuer, subject)


SYSTEM = Actor("gonogo", "clock")
"""Who acts when nobody does: the clock."""
