"""Anchors in S3: written once under a name that is their digest, read back with all that was ever written."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from gonogo.aws.clients import call, client

FOLDER = "anchors/"


class Bucket:
    """`ports.Anchors` on a bucket with Object Lock, whose own default says for how long a file is kept."""

    def __init__(self, name: str, region: str) -> None:
        """Name the bucket; nothing is called yet."""
        self._name, self._region = name, region

    @cached_property
    def _s3(self) -> Any:
        return client("s3", self._region)

    def put(self, name: str, lines: bytes) -> None:
        """Write one file; where retention is set, S3 asks for a checksum (S3 API reference, PutObject)."""
        digest = base64.b64encode(hashlib.sha256(lines).digest()).decode()
        call(
            self._s3.put_object,
            Bucket=self._name,
            Key=FOLDER + name,
            Body=lines,
            ContentType="application/jsonl",
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=digest,
        )


def versions(bucket: str, prefix: str, region: str) -> Iterator[tuple[str, bytes]]:
    """Yield the key and the bytes of each version of each object: a delete marker hides one, and takes none away.

    Raises:
        LaterError: S3 is out.
        RefusedError: there is no such bucket, or the caller may not read it.
    """
    s3 = client("s3", region)
    more: dict[str, str] = {}
    while True:
        listed = call(s3.list_object_versions, Bucket=bucket, Prefix=prefix, **more)
        for one in listed.get("Versions", ()):
            answer = call(s3.get_object, Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            yield one["Key"], answer["Body"].read()
        if not listed.get("IsTruncated"):
            return
        more = {"KeyMarker": listed["NextKeyMarker"], "VersionIdMarker": listed["NextVersionIdMarker"]}
