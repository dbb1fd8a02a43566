"""Packs gonogo for AWS: one zip, one template, the same bytes each time.

    python -m infra.package [OUT] [--architecture arm64|x86_64]

Chalice does the work (its zip holds app.py and vendor/*; its template is merged with template.yaml); this
module holds it to what it does not promise by itself:

- it packs a clean copy of the sources, so that no ``__pycache__`` and no earlier build gets in;
- only wheels are packed, and a requirement without one for Lambda is an error (Chalice prints a warning
  and goes on, and so would a deployment that fails at its first import);
- the zip's entries are in order (Chalice takes them as the file system lists them);
- the template is JSON (Chalice writes YAML with aliases, which CloudFormation does not read).

The Python that packs is the runtime that Lambda gets.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
STAGE = "api"

LAMBDA_RUNTIMES = ((3, 11), (3, 12), (3, 13), (3, 14), (3, 15))
"""The Pythons that Lambda runs, Chalice packs for and gonogo supports."""

PACKED = ("app.py", "requirements.txt", ".chalice/config.json", "functions", "gonogo", "vendor", "infra")
"""What a build may see of the project: sources that are packed, and what tells how."""

ZIPPED_LIMIT = 50 * 1024 * 1024
UNZIPPED_LIMIT = 250 * 1024 * 1024
"""Bytes of a deployment package, uploaded directly and unpacked (Lambda quotas)."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold: what every entry is dated."""


class PackagingError(Exception):
    """The project cannot be packed as it is; the message says why and what to do."""


def package(out: Path, *, architecture: str | None = None, project: Path = PROJECT) -> Path:
    """Build ``deployment.zip`` and ``sam.json`` in `out`; answer the template's path.

    `architecture` is Lambda's name for it (``arm64``, ``x86_64``); None: as .chalice/config.json says.

    Raises PackagingError if this Python is not a Lambda runtime, if a requirement has no wheel for it, or if
    the package is larger than Lambda takes.
    """
    require_lambda_runtime(sys.version_info[:2])
    with tempfile.TemporaryDirectory(prefix="gonogo-package-") as scratch:
        copy = Path(scratch, "project")
        built = Path(scratch, "built")
        copy_sources(project, copy)
        if architecture is not None:
            _set_architecture(copy / ".chalice" / "config.json", architecture)
        run_chalice(copy, built)
        out.mkdir(parents=True, exist_ok=True)
        put_in_order(built / "deployment.zip", out / "deployment.zip")
        template = yaml.safe_load((built / "sam.yaml").read_text())
        (out / "sam.json").write_text(json.dumps(template, indent=1, sort_keys=True) + "\n")
    require_lambda_size(out / "deployment.zip")
    return out / "sam.json"


def require_lambda_runtime(version: tuple[int, int]) -> None:
    """Raise PackagingError unless Lambda runs this Python (major, minor)."""
    if version not in LAMBDA_RUNTIMES:
        offered = ", ".join(f"{major}.{minor}" for major, minor in LAMBDA_RUNTIMES)
        raise PackagingError(
            f"this is Python {version[0]}.{version[1]}, and the Python that packs is the one that Lambda "
            f"will run: make .venv with one of {offered}"
        )


def copy_sources(project: Path, copy: Path) -> None:
    """Copy what is packed, without compiled files; file modes are made the same whatever the checkout has."""
    without_compiled = shutil.ignore_patterns("__pycache__", "*.py[co]")
    for name in PACKED:
        source, target = project / name, copy / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=without_compiled)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            raise PackagingError(f"{source} is missing")
    for path in copy.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)


def run_chalice(project: Path, out: Path) -> None:
    """Run ``chalice package`` on `project` with the merge template.

    Raises PackagingError with Chalice's words if it fails, or if it left out a requirement.
    """
    environment = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_ONLY_BINARY": ":all:",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
    }
    script = "import sys; from chalice.cli import main; sys.exit(main())"
    command = ["package", "--stage", STAGE, "--merge-template", "infra/template.yaml", str(out)]
    run = subprocess.run(  # noqa: S603 our own interpreter and arguments
        [sys.executable, "-c", script, "--project-dir", str(project), *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{run.stdout}{run.stderr}".strip()
    if "Could not install dependencies" in said:
        raise PackagingError(f"a requirement has no wheel that runs on Lambda:\n{said}")
    if run.returncode != 0 or not (out / "sam.yaml").is_file():
        raise PackagingError(f"chalice package failed:\n{said}")


def put_in_order(built: Path, ordered: Path) -> None:
    """Write the entries of one zip into another, sorted by name."""
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(ordered, "w") as target:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = source.getinfo(name).external_attr
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, source.read(name))


def require_lambda_size(package: Path) -> None:
    """Raise PackagingError if the zip is larger than Lambda takes, packed or unpacked."""
    with zipfile.ZipFile(package) as entries:
        unzipped = sum(entry.file_size for entry in entries.infolist())
    for size, limit, what in (
        (package.stat().st_size, ZIPPED_LIMIT, "zipped"),
        (unzipped, UNZIPPED_LIMIT, "unzipped"),
    ):
        if size > limit:
            raise PackagingError(f"{package} has {size:,} bytes {what}; Lambda takes {limit:,}")


def _set_architecture(config: Path, architecture: str) -> None:
    settings = json.loads(config.read_text())
    settings["lambda_architecture"] = architecture
    config.write_text(json.dumps(settings))


def next_steps(template: Path) -> str:
    """Return what to do with a build, as commands to copy."""
    return f"""\
Packed {template.parent}/deployment.zip and {template}.

Next, with AWS credentials and a bucket of yours in the same region:

  aws cloudformation package --template-file {template} --s3-bucket BUCKET \\
      --use-json --output-template-file {template.parent}/packaged.json

  aws cloudformation deploy --template-file {template.parent}/packaged.json --stack-name gonogo \\
      --s3-bucket BUCKET --capabilities CAPABILITY_IAM --parameter-overrides \\
      MailFrom=gonogo@example.com \\
      OidcIssuer=https://login.example.com OidcAudience=gonogo \\
      OidcJwksUri=https://login.example.com/.well-known/jwks.json \\
      AlarmEmail=you@example.com

  aws cloudformation describe-stacks --stack-name gonogo --query 'Stacks[0].Outputs'

  gonogo policy publish POLICY --table TABLE --region REGION

POLICY is the folder of your policy, TABLE an output of the stack; until a policy is published nothing is
permitted. SES must have verified MailFrom, or its domain, in that region. Parameters: infra/template.yaml.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack as the command line says; answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.package", description="Pack gonogo for AWS.")
    parser.add_argument("out", nargs="?", type=Path, default=Path("dist"), help="where to (default: dist)")
    parser.add_argument(
        "--architecture",
        choices=("arm64", "x86_64"),
        help="what Lambda runs it on (default: as .chalice/config.json says)",
    )
    options = parser.parse_args(arguments)
    try:
        template = package(options.out, architecture=options.architecture)
    except PackagingError as error:
        print(f"cannot pack: {error}", file=sys.stderr)
        return 1
    print(next_steps(template), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
