"""A small issuer of identity: keys made for each run, and a token for each person of policy/people.toml."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from gonogo.core.bundle import Person
from local.clock import FURTHEST

ISSUER: Final = "http://gonogo.local"
AUDIENCE: Final = "gonogo"
KEY_ID: Final = "local"


class PersonError(ValueError):
    """There is no such person here; the text names those there are."""


class Issuer:
    """Signs tokens with a key that nobody has seen before this run, nor will after it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Take the clock that goes into the tokens; `people`, by name, are filled in once policy is known."""
        self.people: Mapping[str, Person] = {}
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK set (RFC 7517, section 5)."""
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "ES256"}]}

    def token(self, name: str, *, audience: str = AUDIENCE, **more: str) -> str:
        """Return a token of a person for `audience`, with `more` claims; raise PersonError if nobody has that name.

        It lasts longer than any jump of the clock, and ends with this run, as the key does.
        """
        person = self.people.get(name)
        if person is None:
            message = f"There is no person {name!r} here; there are {', '.join(sorted(self.people))}."
            raise PersonError(message)
        now = self._now()
        claims = {
            **more,
            "iss": person.issuer,
            "sub": person.subject,
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + FURTHEST).timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": KEY_ID})
