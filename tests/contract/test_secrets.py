"""`ports.Secrets` on the parameter store: what it may answer, and moto's and the second engine's own."""

from __future__ import annotations

from typing import Any

import pytest

from gonogo.aws.secrets import Parameters
from gonogo.core.errors import LaterError, RefusedError
from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

from local.aws import client  # isort: skip - after the environment that it reads


@pytest.fixture
def secrets() -> Parameters:
    """Give the parameter store, over a client that all tests share."""
    made = Parameters(REGION)
    vars(made)["_ssm"] = shared("ssm")
    return made


def value(text: str) -> dict[str, Any]:
    """Return the store's answer."""
    return {"Parameter": {"Name": "/gonogo/webhooks/lead", "Type": "SecureString", "Value": text}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("whsec_a", ("whsec_a",)),
        ("whsec_new whsec_old", ("whsec_new", "whsec_old")),
        ("  whsec_new\n\twhsec_old \n", ("whsec_new", "whsec_old")),
        (" ", ()),
    ],
)
def test_a_parameter_holds_one_secret_or_several_newest_first(
    secrets: Parameters, text: str, expected: tuple[str, ...]
) -> None:
    """While a secret is changed, a receiver may know the old one or the new one."""
    with stubbed(secrets._ssm) as stub:
        stub.add_response(
            "get_parameter", value(text), {"Name": "/gonogo/webhooks/lead", "WithDecryption": True}
        )
        assert secrets.read("lead") == expected


@pytest.mark.parametrize("code", ["ParameterNotFound", "AccessDeniedException"])
def test_a_secret_that_is_not_there_is_refused(secrets: Parameters, code: str) -> None:
    """A notice without a signature must not go out; it is told on the delivery why."""
    with stubbed(secrets._ssm) as stub:
        stub.add_client_error("get_parameter", code, http_status_code=400)
        with pytest.raises(RefusedError):
            secrets.read("lead")


@pytest.mark.parametrize(("code", "status"), PASSING)
def test_a_store_that_is_out_is_asked_again(secrets: Parameters, code: str, status: int) -> None:
    """A notice is late then, and not lost."""
    with stubbed(secrets._ssm) as stub:
        stub.add_client_error("get_parameter", code, http_status_code=status)
        with pytest.raises(LaterError):
            secrets.read("lead")


@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_no_refusal(secrets: Parameters, silence: Exception) -> None:
    """As above."""
    with silent(secrets._ssm, "GetParameter", silence), pytest.raises(LaterError):
        secrets.read("lead")


def test_a_secret_is_read_as_it_was_put_last(aws: str) -> None:
    """Put by hand, encrypted, read in the clear; an old one is of no use to whoever has it once it is changed."""
    secrets = Parameters(REGION)
    for value_now in ("whsec_old", "whsec_new whsec_old", "whsec_new"):
        client("ssm").put_parameter(
            Name=f"/gonogo/webhooks/{aws}", Type="SecureString", Value=value_now, Overwrite=True
        )
        assert secrets.read(aws) == tuple(value_now.split())


@pytest.mark.parametrize("name", ["nobody", "/elsewhere/secret", "/gonogo/webhooks/there"])
def test_no_name_leads_out_of_the_folder(aws: str, name: str) -> None:
    """Policy names a secret of a webhook, and must be able to name no other."""
    for there in ("/elsewhere/secret", "/gonogo/webhooks/there"):
        client("ssm").put_parameter(Name=there, Type="SecureString", Value=aws, Overwrite=True)
    with pytest.raises(RefusedError) as caught:
        Parameters(REGION).read(name)
    assert caught.value.code in ("ParameterNotFound", "ValidationException")
