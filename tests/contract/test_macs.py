"""`ports.Macs`: in memory, on KMS in moto and in the second engine, and what KMS may answer besides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gonogo.aws.tokens import ALGORITHM, Kms
from gonogo.core.errors import LaterError
from gonogo.core.token import MAC_BYTES, Keyring
from gonogo.ports import Macs
from tests import memory
from tests.contract import second_engine
from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

from local.aws import client  # isort: skip - after the environment that it reads

PAYLOAD = b"what a token says"


def new_key() -> str:
    """Return the ARN of a new key."""
    made = client("kms").create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    return str(made["KeyMetadata"]["Arn"])


class Rings:
    """What the suite needs of an implementation: two functions, before and after a key was changed."""

    def __init__(self, before: Macs, after: Macs, later: Macs) -> None:
        self.before, self.after, self.later = before, after, later


@pytest.fixture(scope="module", params=["memory", *second_engine.ON_AWS])
def rings(request: pytest.FixtureRequest) -> Iterator[Rings]:
    """Give three states of a ring: one key; a new one and that; a third and the new one."""
    if request.param == "memory":
        made = [memory.Macs() for _ in range(3)]
        for one, people in zip(made, ([b"1"], [b"2", b"1"], [b"3", b"2"]), strict=True):
            one.rings["people"] = people
        yield Rings(*made)
        return
    with second_engine.asked(request.param, request):
        first, second, third, hook = (new_key() for _ in range(4))
        states = ((first,), (second, first), (third, second))
        yield Rings(*(Kms({"people": ring, "hook": (hook,)}, REGION) for ring in states))


def test_a_mac_is_32_bytes_and_always_the_same(rings: Rings) -> None:
    """A notice that is sent again carries the same link."""
    mac = rings.before.make("people", PAYLOAD)
    assert len(mac) == MAC_BYTES
    assert mac == rings.before.make("people", PAYLOAD)


def test_a_mac_verifies(rings: Rings) -> None:
    """Else nobody could decide."""
    assert rings.before.verify("people", PAYLOAD, rings.before.make("people", PAYLOAD))


@pytest.mark.parametrize("bit", [0, 7, 100, 255])
def test_one_bit_makes_it_another(rings: Rings, bit: int) -> None:
    """Of payload or MAC alike."""
    mac = rings.before.make("people", PAYLOAD)
    flipped = bytearray(mac)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not rings.before.verify("people", PAYLOAD, bytes(flipped))
    assert not rings.before.verify("people", PAYLOAD + b" ", mac)


def test_the_previous_key_is_accepted_and_the_current_one_makes(rings: Rings) -> None:
    """When a key is changed, the links that are out go on counting."""
    old = rings.before.make("people", PAYLOAD)
    assert rings.after.verify("people", PAYLOAD, old)
    new = rings.after.make("people", PAYLOAD)
    assert new != old
    assert rings.after.verify("people", PAYLOAD, new)


def test_a_key_that_was_taken_off_the_ring_is_foreign(rings: Rings) -> None:
    """An allow-list, not all keys there are."""
    assert not rings.later.verify("people", PAYLOAD, rings.before.make("people", PAYLOAD))


def test_one_ring_is_foreign_to_the_other(rings: Rings) -> None:
    """Whoever may make tokens for hooks can make none for people."""
    assert not rings.before.verify("people", PAYLOAD, rings.before.make("hook", PAYLOAD))
    assert not rings.before.verify("hook", PAYLOAD, rings.before.make("people", PAYLOAD))


# What KMS may answer

KEYS = ("arn:aws:kms:us-east-1:123456789012:key/current", "arn:aws:kms:us-east-1:123456789012:key/previous")


@pytest.fixture
def kms() -> Kms:
    """Give KMS with two keys for people, and none for hooks."""
    made = Kms({"people": KEYS, "hook": ()}, REGION)
    vars(made)["_kms"] = shared("kms")
    return made


def asked(key: str, mac: bytes) -> dict[str, object]:
    """Return what KMS is asked to verify."""
    return {"KeyId": key, "Message": PAYLOAD, "Mac": mac, "MacAlgorithm": ALGORITHM}


def test_kms_says_invalid_by_an_error(kms: Kms) -> None:
    """KMSInvalidMacException is an answer, and the only one that means no."""
    with stubbed(kms._kms) as stub:
        for key in KEYS:
            stub.add_client_error("verify_mac", "KMSInvalidMacException", expected_params=asked(key, b"x"))
        assert not kms.verify("people", PAYLOAD, b"x")


def test_what_kms_does_not_call_valid_is_not(kms: Kms) -> None:
    """Only its own word counts."""
    with stubbed(kms._kms) as stub:
        for key in KEYS:
            stub.add_response("verify_mac", {"MacValid": False, "KeyId": key, "MacAlgorithm": ALGORITHM})
        assert not kms.verify("people", PAYLOAD, b"x")


def test_the_current_key_is_enough(kms: Kms) -> None:
    """Most tokens cost one call."""
    with stubbed(kms._kms) as stub:
        stub.add_response("verify_mac", {"MacValid": True}, asked(KEYS[0], b"x"))
        assert kms.verify("people", PAYLOAD, b"x")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *PASSING,
        ("AccessDeniedException", 400),
        ("NotFoundException", 400),
        ("DisabledException", 400),
        ("KMSInvalidStateException", 400),
        ("KeyUnavailableException", 500),
        ("DependencyTimeoutException", 500),
    ],
)
def test_whatever_else_kms_says_tells_nothing_of_the_token(kms: Kms, code: str, status: int) -> None:
    """A key that is switched off must not read as a forged token, nor as a good one."""
    kms._rings = {"people": KEYS[:1]}
    for operation, call in (
        ("verify_mac", lambda: kms.verify("people", PAYLOAD, b"x")),
        ("generate_mac", lambda: kms.make("people", PAYLOAD)),
    ):
        with stubbed(kms._kms) as stub:
            stub.add_client_error(operation, code, http_status_code=status)
            with pytest.raises(LaterError):
                call()


@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_tells_nothing_of_the_token(kms: Kms, silence: Exception) -> None:
    """As above."""
    with silent(kms._kms, "VerifyMac", silence), pytest.raises(LaterError):
        kms.verify("people", PAYLOAD, b"x")


def test_without_a_key_nothing_is_made_and_nothing_verifies(kms: Kms) -> None:
    """A function that was given no key of a ring can neither make nor take its tokens."""
    rings: tuple[Keyring, Keyring] = ("people", "hook")
    for ring, other in (rings, rings[::-1]):
        kms._rings = {other: KEYS}
        assert not kms.verify(ring, PAYLOAD, b"x")
        with pytest.raises(LaterError, match=f"has no {ring} key"):
            kms.make(ring, PAYLOAD)
