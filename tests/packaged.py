"""Builds what is deployed, once for each state of the sources, for all tests and all their workers."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from infra import package

LAMBDA_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
"""What `platform.machine()` says, and what Lambda calls it."""


class Package(msgspec.Struct, frozen=True):
    """One build: the zip, and the template as Chalice and infra/template.yaml make it together."""

    zip: Path
    template: Path

    def sam(self) -> dict[str, Any]:
        """Return the template as it is packaged."""
        loaded: dict[str, Any] = json.loads(self.template.read_text())
        return loaded

    def cloudformation(self, bucket: str = "bucket", key: str = "key") -> dict[str, Any]:
        """Return the template as AWS runs it: SAM's transform applied offline, the code in s3://bucket/key."""
        return transform(self.sam(), bucket, key)


def build(cache: Path, architecture: str, project: Path = package.PROJECT) -> Package:
    """Return the package for `architecture`, from `cache` if the same sources were built before.

    Workers that ask at the same time wait for the one that builds. Older builds are removed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{architecture}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        out = cache / f"{architecture}-{fingerprint(project)}"
        if not (out / "complete").exists():
            for old in cache.glob(f"{architecture}-*"):
                shutil.rmtree(old)
            package.package(out, architecture=architecture, project=project)
            (out / "complete").touch()
    return Package(out / "deployment.zip", out / "sam.json")


def fingerprint(project: Path) -> str:
    """Return a digest of all that a build depends on: sources, Python and Chalice."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {version('chalice')}".encode())
    for path in sorted(_sources(project)):
        digest.update(f"\0{path.relative_to(project)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(project: Path) -> Iterator[Path]:
    for name in package.PACKED:
        source = project / name
        for path in source.rglob("*") if source.is_dir() else (source,):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def transform(template: dict[str, Any], bucket: str, key: str) -> dict[str, Any]:
    """Apply the SAM transform (AWS::Serverless-2016-10-31) without AWS."""
    import boto3
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    for resource in template["Resources"].values():
        if resource.get("Type") == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{bucket}/{key}"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    translated: dict[str, Any] = translator.translate(template, {})
    return translated
