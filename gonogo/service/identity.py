"""Who is asking: an actor from a verified token, with the groups that policy gives the token's claims."""

from __future__ import annotations

from gonogo.core.actor import Actor
from gonogo.core.bundle import Bundle
from gonogo.core.errors import NotAuthenticatedError, NotPermittedError
from gonogo.core.limit import REQUESTS
from gonogo.core.policy import Principal
from gonogo.ports import Outside
from gonogo.service import limits

HOW = "Sign in: send Authorization: Bearer and a token of your identity provider."


class SignedIn(Principal, frozen=True, kw_only=True):
    """Somebody whose token was verified, and the policy in force then: read once a request."""

    policy: Bundle


def sign_in(outside: Outside, authorization: str | None, source: str | None = None) -> SignedIn:
    """Return who sends this `Authorization` header (RFC 6750, section 2.1), from the address `source`.

    Raises:
        NotAuthenticatedError: there is no bearer token, or it does not verify.
        NotPermittedError: policy knows nobody by that issuer and subject, and no group of theirs.
        TooManyError: the actor has asked too often; or the token does not verify, as many before it from there.
        PolicyMissingError: there is no policy.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticatedError(HOW)
    try:
        claims = outside.identity.verify(token, outside.now())
    except NotAuthenticatedError:
        limits.failed(outside, source)
        raise
    actor = Actor(claims.issuer, claims.subject)
    outside.limits.use(REQUESTS, actor.key, outside.now())
    bundle = outside.policies.current()
    groups = bundle.groups_claimed(claims.issuer, claims.claims)
    if actor not in bundle.people and not groups:
        raise NotPermittedError(
            f"Policy knows nobody by issuer {actor.issuer!r} and subject {actor.subject!r}."
        )
    return SignedIn(actor, groups, policy=bundle)
