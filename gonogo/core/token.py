"""What an approval token says, and the one form in which it may come back.

TOKEN is `gng_` and base64url without padding of payload and MAC. Nothing is stored: the same payload and key
make the same token. Only the canonical form is read: nothing is trimmed, folded, decoded or padded first.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Literal

import msgspec

from gonogo.core.actor import Actor
from gonogo.core.errors import TokenInvalidError

PREFIX = "gng_"
MAC_BYTES = 32
"""HMAC_SHA_256 (AWS KMS, GenerateMac)."""
LONGEST = 1500
Keyring = Literal["people", "hook"]


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What a token lets its bearer do: decide this gate, in this round, for this digest, as this actor.

    `expires` is in whole seconds since 1970; `keys` says which keyring made the MAC; a raised `epoch`
    makes every older token void.
    """

    form: int
    keys: Keyring
    launch: str
    gate: str
    round: int
    issuer: str
    subject: str
    digest: bytes
    expires: int
    epoch: int

    @property
    def actor(self) -> Actor:
        """Whoever the token was sent to."""
        return Actor(self.issuer, self.subject)


def claim(
    *,
    keys: Keyring,
    launch: str,
    gate: str,
    round: int,  # noqa: A002 - the field's name
    actor: Actor,
    digest: str,
    expires_at: datetime,
    epoch: int,
) -> Claim:
    """Return the claim of one actor on one gate."""
    return Claim(
        1,
        keys,
        launch,
        gate,
        round,
        actor.issuer,
        actor.subject,
        bytes.fromhex(digest),
        int(expires_at.timestamp()),
        epoch,
    )


def payload(claim: Claim) -> bytes:
    """Return the bytes over which the MAC is made."""
    return msgspec.msgpack.encode(claim)


def write(payload: bytes, mac: bytes) -> str:
    """Return the token."""
    return PREFIX + base64.urlsafe_b64encode(payload + mac).rstrip(b"=").decode()


def read(text: str, *, now: datetime, epoch: int) -> tuple[Claim, bytes, bytes]:
    """Return the claim, the payload and the MAC, which is yet to be verified.

    Raises:
        TokenInvalidError: the form is not the canonical one, or it has expired, or the epoch is not this one.
    """
    if len(text) > LONGEST or not re.fullmatch(PREFIX + "[A-Za-z0-9_-]+", text):
        raise TokenInvalidError
    body = text.removeprefix(PREFIX)
    try:
        raw = base64.urlsafe_b64decode(body + "==")  # padding in excess is passed over
        data, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        said = msgspec.msgpack.decode(data, type=Claim)
    except (ValueError, msgspec.DecodeError):
        raise TokenInvalidError from None
    if len(mac) != MAC_BYTES or write(payload(said), mac) != text:
        raise TokenInvalidError
    if said.form != 1 or said.epoch != epoch or now.timestamp() >= said.expires:
        raise TokenInvalidError
    return said, data, mac
