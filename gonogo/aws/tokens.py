"""The MACs of approval tokens, made and verified by KMS with keys that leave it never."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from gonogo.aws.clients import call, client
from gonogo.core.errors import LaterError, RefusedError
from gonogo.core.token import Keyring

ALGORITHM = "HMAC_SHA_256"


class Kms:
    """`ports.Macs` on KMS. Each ring is an allow-list of keys: the current one first, then the previous."""

    def __init__(self, rings: Mapping[Keyring, tuple[str, ...]], region: str) -> None:
        """Name the keys of each ring by ARN; nothing is called yet."""
        self._rings, self._region = rings, region

    @cached_property
    def _kms(self) -> Any:
        return client("kms", self._region)

    def make(self, keys: Keyring, payload: bytes) -> bytes:
        """Make a MAC with the ring's current key."""
        ring = self._rings.get(keys, ())
        if not ring:
            raise LaterError(f"this function has no {keys} key")
        try:
            answer = call(self._kms.generate_mac, KeyId=ring[0], Message=payload, MacAlgorithm=ALGORITHM)
        except RefusedError as error:
            raise LaterError(str(error)) from error
        return bytes(answer["Mac"])

    def verify(self, keys: Keyring, payload: bytes, mac: bytes) -> bool:
        """Try the ring's keys in turn; only KMS's own word that it is valid counts."""
        for key in self._rings.get(keys, ()):
            try:
                answer = call(
                    self._kms.verify_mac, KeyId=key, Message=payload, Mac=mac, MacAlgorithm=ALGORITHM
                )
            except RefusedError as error:
                if error.code == "KMSInvalidMacException":
                    continue
                raise LaterError(str(error)) from error
            if answer["MacValid"]:
                return True
        return False
