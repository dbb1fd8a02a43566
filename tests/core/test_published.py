"""The policy as it is stored: a bundle under its digest, and the one that is in force."""

from __future__ import annotations

import random
import re
import zlib

import msgspec
import pytest

from gonogo.core import published
from gonogo.core.bundle import digest_of
from gonogo.core.errors import BundleRefusedError, Fault
from tests.core.builders import AT, DAY, assert_well_told, policy_files


def test_files_come_back_as_they_were():
    """A launch is judged again by the very text that judged it first."""
    files = policy_files()
    stored = published.stored(files, AT)
    assert stored.files == files
    assert (stored.id, stored.version) == (digest_of(files), 1)
    assert stored.at == stored.updated_at == AT


@pytest.mark.parametrize("path", ["people.toml", "templates/web-small.toml", "new.txt"])
def test_another_text_is_another_bundle(path: str):
    """One changed letter, or one more file, must not keep the digest."""
    files = policy_files()
    assert digest_of(files) != digest_of({**files, path: files.get(path, "") + " "})


def test_stored_files_of_another_digest_are_refused():
    """Who can write the table must not be able to change what a digest stands for."""
    stored = published.stored(policy_files(), AT)
    forged = msgspec.structs.replace(stored, packed=zlib.compress(msgspec.json.encode({"people.toml": ""})))
    with pytest.raises(BundleRefusedError) as raised:
        _ = forged.files
    assert raised.value.faults == (Fault(stored.id, "digest", "the stored files are not of this digest"),)


def test_stored_files_are_texts():
    """What is none must not come as far as what reads the files, though it is of its digest."""
    other: dict[str, object] = {"people.toml": 1}
    stored = published.stored(other, AT)  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError):
        _ = stored.files


def test_a_bundle_that_no_item_holds_is_refused():
    """The refusal comes when a bundle is published, not when the table answers with an error."""
    noise = random.Random(1).randbytes(2 * published.LARGEST).hex()  # noqa: S311 - any text that does not compress
    with pytest.raises(BundleRefusedError) as raised:
        published.stored({"notes.txt": noise}, AT)
    (fault,) = raised.value.faults
    assert (fault.pointer, fault.rule) == ("", "maximum")
    assert re.fullmatch(r"is [0-9]+ bytes compressed; 358400 at most", fault.detail)


def test_a_bundle_may_fill_its_item(monkeypatch: pytest.MonkeyPatch):
    """What fits to the byte is taken, and as much fits as can be made to."""
    files = policy_files()
    text = msgspec.json.encode(files)
    least = min(len(zlib.compress(text, level)) for level in range(10))
    monkeypatch.setattr(published, "LARGEST", least)
    assert published.stored(files, AT).files == files
    monkeypatch.setattr(published, "LARGEST", least - 1)
    with pytest.raises(BundleRefusedError) as raised:
        published.stored(files, AT)
    assert raised.value.faults == (Fault("", "maximum", f"is {least} bytes compressed; {least - 1} at most"),)


def test_the_first_bundle_in_force():
    """Subscribers learn of the first policy as of any other."""
    now = published.in_force(None, "b1", AT)
    assert (now.id, now.version, now.bundle) == ("current", 1, "b1")
    assert now.at == now.updated_at == AT
    assert [one.data for one in now.history] == [{"bundle": "b1", "previous": None, "change": None}]
    assert_well_told(now)


def test_another_bundle_in_force_names_the_one_before():
    """Whoever reads the history sees each policy and what it replaced."""
    first = published.in_force(None, "b1", AT)
    second = published.in_force(first, "b2", AT + DAY)
    assert (second.version, second.bundle) == (2, "b2")
    assert second.history[-1].data == {"bundle": "b2", "previous": "b1", "change": None}
    assert_well_told(second)


@pytest.mark.parametrize("before", [None, published.in_force(None, "b1", AT)])
def test_a_bundle_in_force_names_the_launch_that_changed_it(before: published.CurrentPolicy | None):
    """Whoever asks who let a policy come into force finds the approvals there."""
    now = published.in_force(before, "b2", AT + DAY, "l-1")
    previous = None if before is None else "b1"
    assert now.history[-1].data == {"bundle": "b2", "previous": previous, "change": "l-1"}
    assert now.updated_at == AT + DAY


def test_the_same_bundle_again_is_the_very_same_policy():
    """Publishing twice tells nobody anything new."""
    first = published.in_force(None, "b1", AT)
    assert published.in_force(first, "b1", AT + DAY) is first
