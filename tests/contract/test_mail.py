"""`ports.Mailer` on SES: whole messages, and what SES may say to them.

The second engine takes a mail to what is no address, and keeps its parts instead of its bytes: that a mail is sent
as it was written is asked of moto and the stub.
"""

from __future__ import annotations

import pytest

from gonogo.aws.mail import Ses
from gonogo.core.errors import LaterError, RefusedError
from tests.contract.stubs import PASSING, REGION, SILENCES, shared, silent, stubbed

from local.aws import client  # isort: skip - after the environment that it reads

RAW = b"From: gonogo@example.com\r\nTo: lead@example.com\r\nSubject: GO?\r\n\r\nhttps://example.com/decide#gng_x\r\n"


@pytest.fixture
def ses() -> Ses:
    """Give SES, over a client that all tests share."""
    made = Ses("gonogo@example.com", REGION)
    vars(made)["_ses"] = shared("sesv2")
    return made


def test_a_mail_is_sent_raw_to_one_address(ses: Ses) -> None:
    """No configuration set is named: click tracking would rewrite the link, and the code in it would be logged."""
    with stubbed(ses._ses) as stub:
        stub.add_response(
            "send_email",
            {"MessageId": "1"},
            {
                "FromEmailAddress": "gonogo@example.com",
                "Destination": {"ToAddresses": ["lead@example.com"]},
                "Content": {"Raw": {"Data": RAW}},
            },
        )
        ses.send("lead@example.com", RAW)


@pytest.mark.parametrize("code", ["BadRequestException"])
def test_a_mail_that_ses_will_never_take_is_given_up(ses: Ses, code: str) -> None:
    """An address that is refused today is refused tomorrow."""
    with stubbed(ses._ses) as stub:
        stub.add_client_error("send_email", code, "Not this one.", http_status_code=400)
        with pytest.raises(RefusedError) as caught:
            ses.send("lead@example.com", RAW)
    assert (caught.value.code, caught.value.message) == (code, "Not this one.")


@pytest.mark.parametrize(
    ("code", "status"), [*PASSING, ("TooManyRequestsException", 429), ("LimitExceededException", 400)]
)
def test_a_mail_that_ses_takes_later_is_tried_again(ses: Ses, code: str, status: int) -> None:
    """A sending quota is for a day, and an approver waits."""
    with stubbed(ses._ses) as stub:
        stub.add_client_error("send_email", code, http_status_code=status)
        with pytest.raises(LaterError):
            ses.send("lead@example.com", RAW)


@pytest.mark.parametrize(
    "code",
    [
        "AccountSuspendedException",
        "SendingPausedException",
        "MailFromDomainNotVerifiedException",
        "AccessDeniedException",
    ],
)
def test_an_account_that_may_not_send_now_may_later(ses: Ses, code: str) -> None:
    """That is about the account, and not about the mail: once it is mended, the mail goes out."""
    with stubbed(ses._ses) as stub:
        stub.add_client_error("send_email", code, http_status_code=400)
        with pytest.raises(LaterError):
            ses.send("lead@example.com", RAW)


@pytest.mark.parametrize("silence", SILENCES)
def test_no_answer_is_no_failure(ses: Ses, silence: Exception) -> None:
    """It may be out; it is tried again, rather than never."""
    with silent(ses._ses, "SendEmail", silence), pytest.raises(LaterError):
        ses.send("lead@example.com", RAW)


def test_a_mail_goes_out_once_its_sender_is_verified(aws: str) -> None:
    """Who deploys gonogo verifies the sender: until then each mail waits, and none is given up."""
    sender = f"{aws}@example.com"
    with pytest.raises(LaterError, match="MessageRejected"):
        Ses(sender, REGION).send("lead@example.com", RAW.replace(b"gonogo@", aws.encode() + b"@"))
    client("sesv2").create_email_identity(EmailIdentity=sender)
    Ses(sender, REGION).send("lead@example.com", RAW.replace(b"gonogo@", aws.encode() + b"@"))
