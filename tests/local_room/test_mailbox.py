"""The mailbox shows each mail as its receiver would see it."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from local import page
from local.aws import client
from local.mailbox import Mailbox

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def send(moto):
    """Send one raw mail through SES, as gonogo does."""
    ses = client("sesv2")
    ses.create_email_identity(EmailIdentity="gonogo@example.com")

    def one(to="lead@example.com", date="Thu, 01 Jan 2026 10:00:00 +0100", **more):
        mail = EmailMessage()
        mail["From"] = "gonogo <gonogo@example.com>"
        mail["To"] = to
        mail["Subject"] = more.get("subject", "Größe: t3.micro, Köln: entscheiden?")
        if date:
            mail["Date"] = date
        mail.set_content(more.get("text", "Über 500 €: https://example.com/decide#gng_x\n"))
        if more.get("html"):
            mail.add_alternative(more["html"], subtype="html")
        ses.send_email(
            FromEmailAddress="gonogo@example.com",
            Destination={"ToAddresses": [to]},
            Content={"Raw": {"Data": mail.as_bytes()}},
        )

    return one


def test_a_mail_is_read_whole(send):
    """Both bodies, and every letter beyond ASCII, must come out as they went in."""
    send(html="<p>Über 500 €</p>")
    (mail,) = Mailbox(lambda: START).mails()
    assert (mail.sender, mail.to) == ("gonogo <gonogo@example.com>", "lead@example.com")
    assert mail.subject == "Größe: t3.micro, Köln: entscheiden?"
    assert mail.at == "2026-01-01T09:00:00Z"
    assert mail.text == "Über 500 €: https://example.com/decide#gng_x\n"
    assert mail.html == "<p>Über 500 €</p>\n"


def test_mails_are_listed_oldest_first_and_found_by_id(send):
    """A program that waits for a mail reads the end of the list."""
    mailbox = Mailbox(lambda: START)
    send(subject="first")
    assert [mail.subject for mail in mailbox.mails()] == ["first"]
    send(subject="second", date=None)
    first, second = mailbox.mails()
    assert [first.subject, second.subject] == ["first", "second"]
    assert second.at == "2026-01-01T00:00:00Z"
    assert mailbox.find(second.id) == second
    assert mailbox.find("other") is None


def test_a_mail_page_leads_back_and_escapes_its_head(send):
    """The head is ours, its words are not."""
    send(subject="<script>", html="<html><body class='x'><p>Hello</p></body></html>")
    (mail,) = Mailbox(lambda: START).mails()
    text = page.mail(mail)
    assert "<script>" not in text
    assert text.index("<body class='x'>") < text.index("Mailbox</a>") < text.index("<p>Hello</p>")


def test_a_mail_without_html_has_links_to_click(send):
    """The text of a mail is enough to decide by."""
    send(text="Decide <here>: https://example.com/decide#gng_x\n")
    (mail,) = Mailbox(lambda: START).mails()
    text = page.mail(mail)
    assert '<a href="https://example.com/decide#gng_x">' in text
    assert "&lt;here&gt;" in text
