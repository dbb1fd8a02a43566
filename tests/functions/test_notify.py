"""Telling people: each thing once, over the way that reaches them, and again until it is out."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest

from functions import deliver, notify
from gonogo.core.delivery import Delivery
from gonogo.core.errors import LaterError, RefusedError
from gonogo.service.notify import Notice
from local.aws import client
from tests.functions import notices
from tests.functions.arriving import again, messages, on_bus
from tests.functions.faults import CrashError, on_each_call, refusing, silent
from tests.functions.policy import TWO_MORE_LEADS, TWO_OF_THREE, gate, person, policy
from tests.functions.test_submit import with_a_bot
from tests.functions.world import ISSUER, World, mail_text

HOOK = "https://hooks.example.com/lead"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def subjects(world: World, to: str) -> list[str]:
    """Return what somebody's mails are about, oldest first."""
    return [str(mail["Subject"]) for mail in world.mails(to)]


def opened(world: World) -> dict[str, Any]:
    """Return the last opening of a gate that was told."""
    return [one for one in world.events() if one["type"] == "gate.opened"][-1]


def deliveries(world: World) -> list[Delivery]:
    """Return every notice that there is."""
    found = [
        world.gonogo.items.get(Delivery, row["id"]["S"])
        for row in world.rows()
        if row["sk"]["S"] == "delivery"
    ]
    return [one for one in found if one is not None]


def by_link(world: World, who: str, verdict: str = "approve") -> Any:
    """Decide with the code of somebody's newest mail."""
    answer = world.call("POST", "/v1/decisions", {"token": world.token(who), "verdict": verdict})
    assert answer.code == 200, answer.text
    world.settle()
    return answer.json


def with_hook(*, private: bool, mail: bool = False) -> dict[str, str]:
    """Return a policy whose lead is reached by webhook, and put its signing secret where it is looked for."""
    client("ssm").put_parameter(
        Name="/gonogo/webhooks/lead-secret", Value=SECRET, Type="SecureString", Overwrite=True
    )
    return policy(person("lead", "leads", mail=mail, webhook=HOOK, private=private), without=("lead",))


def test_each_approver_is_asked_once(world: World) -> None:
    """Those who may decide get one mail each, everybody else none, and the requester never."""
    world.publish(TWO_OF_THREE)
    world.ask()
    world.settle()
    assert [len(world.mails(who)) for who in ("lead", "lead2", "lead3")] == [1, 1, 1]
    assert len(world.mails()) == 3
    codes = {world.token(who) for who in ("lead", "lead2", "lead3")}
    assert len(codes) == 3


def test_a_requester_who_is_an_approver_is_not_asked(world: World) -> None:
    """A mail that asks the requester would be an invitation to what is refused."""
    files = policy(TWO_MORE_LEADS)
    files["people.toml"] = files["people.toml"].replace(
        'groups = ["developers"]', 'groups = ["developers", "leads"]'
    )
    world.publish(files)
    world.ask()
    world.settle()
    assert world.mails("dev") == []
    assert len(world.mails()) == 3


def test_a_message_that_comes_again_sends_nothing(world: World) -> None:
    """SQS delivers at least once; people are not told twice."""
    world.ask()
    world.settle()
    said = opened(world)
    for _ in range(3):
        assert again(world, "notify", said, said) == []
    assert world.invoke("notify", messages(*[on_bus(said)] * 5)) == {"batchItemFailures": []}
    assert len(world.mails()) == 1


def test_a_mail_that_cannot_go_out_goes_later(world: World) -> None:
    """SES is down: that is on record, an alarm is set, and the same mail goes out when SES is back."""
    launch = world.ask()
    with on_each_call(before=refusing("sesv2.SendEmail", "TooManyRequestsException", http=429)):
        world.settle()
    assert world.mails() == []
    (waiting,) = deliveries(world)
    assert (waiting.channels["mail"].state, waiting.channels["mail"].tries) == ("waiting", 1)
    assert world.call("GET", "/v1/inbox", who="lead").json["items"][0]["launch"]["id"] == launch["id"]
    world.clock.go(seconds=59)
    world.wake()
    world.settle()
    assert world.mails() == []
    world.clock.go(seconds=1)
    world.wake()
    world.settle()
    assert len(world.mails("lead")) == 1
    assert "delivery.due" in [one["type"] for one in world.events()]
    assert by_link(world, "lead")["state"] == "PENDING"


def test_a_mail_that_ses_refuses_is_given_up(world: World) -> None:
    """A mail that would be refused again is not tried again; the question stays in the inbox."""
    launch = world.ask()
    with on_each_call(before=refusing("sesv2.SendEmail", "BadRequestException", "Illegal address.")):
        world.settle()
    (failed,) = deliveries(world)
    assert (failed.channels["mail"].state, failed.due_at) == ("failed", None)
    assert "Illegal address." in (failed.channels["mail"].error or "")
    assert world.call("GET", "/v1/inbox", who="lead").json["items"][0]["launch"]["id"] == launch["id"]


def test_a_sender_that_ses_refuses_is_mended_by_somebody(world: World) -> None:
    """No mail is lost to an account that is paused, or a sender that is not verified yet."""
    world.ask()
    with on_each_call(before=refusing("sesv2.SendEmail", "MessageRejected", "Address is not verified.")):
        world.settle()
    world.clock.go(minutes=1)
    world.wake()
    world.settle()
    assert len(world.mails("lead")) == 1


def test_codes_wait_for_the_key(world: World) -> None:
    """Without KMS there is no code, and no mail that lacks one."""
    world.ask()
    with on_each_call(before=refusing("kms.GenerateMac", "DisabledException")):
        world.settle()
    assert world.mails() == []
    world.clock.go(minutes=1)
    world.wake()
    world.settle()
    assert world.token("lead").startswith("gng_")


def crash_at_mail(world: World, side: str, said: dict[str, Any]) -> None:
    """Hand an event to notify, which dies before or after its mail has gone out."""

    def act(operation: str, _parameters: Any) -> None:
        if operation == "sesv2.SendEmail":
            raise CrashError

    with on_each_call(**{side: act}), pytest.raises(CrashError):
        again(world, "notify", said)


def without_notify(world: World, queue: str = "NotifyQueue") -> None:
    """Let everything arrive but what is for notify, or for whoever reads another queue."""
    url = world.stack.look(queue, None)
    every, world.pumps = world.pumps, [one for one in world.pumps if getattr(one, "_url", None) != url]
    world.settle()
    list(world.messages(url))
    world.pumps = every


@pytest.mark.parametrize(("side", "mails"), [("before", 1), ("after", 2)])
def test_a_crash_repeats_one_mail_and_loses_none(world: World, side: str, mails: int) -> None:
    """A claim that was left behind lapses, and then the same mail, with the same code, goes out."""
    world.ask()
    without_notify(world)
    said = opened(world)
    crash_at_mail(world, side, said)
    assert again(world, "notify", said) == []
    assert len(world.mails()) == mails - 1
    world.clock.go(minutes=5)
    world.wake()
    world.settle()
    sent = world.mails("lead")
    assert len(sent) == mails
    assert len({mail_text(one) for one in sent}) == 1
    assert len({str(one["Message-ID"]) for one in sent}) == 1


def test_an_answer_of_ses_that_never_came(world: World) -> None:
    """It may have gone out or not: it is tried again, under the same Message-ID."""
    world.ask()
    with on_each_call(after=silent("sesv2.SendEmail")):
        world.settle()
    world.clock.go(minutes=1)
    world.wake()
    world.settle()
    assert len({str(one["Message-ID"]) for one in world.mails("lead")}) == 1
    assert deliveries(world)[0].channels["mail"].state == "sent"


def test_the_others_are_told_when_it_is_decided(world: World) -> None:
    """Who was asked in vain hears so, and finds nothing in the inbox; who decided is no other."""
    world.publish(policy(TWO_MORE_LEADS))
    launch = world.ask()
    world.settle()
    world.decide(launch, "lead2", "lead")
    for who in ("lead", "lead3"):
        assert world.call("GET", "/v1/inbox", who=who).json["items"] == []
    world.settle()
    assert [len(world.mails(who)) for who in ("lead", "lead2", "lead3")] == [2, 1, 2]
    for who in ("lead", "lead3"):
        assert not re.search(r"gng_[A-Za-z0-9_-]+", mail_text(world.mails(who)[-1]))
    assert not [one for one in deliveries(world) if one.open]


def test_a_question_that_is_decided_is_not_asked_late(world: World) -> None:
    """A mail that could not go out in time does not go out when there is nothing to decide any more."""
    world.publish(policy(TWO_MORE_LEADS))
    launch = world.ask()
    with on_each_call(before=refusing("sesv2.SendEmail", "TooManyRequestsException")):
        world.settle()
    world.decide(launch, "lead2", "lead", "reject")
    world.settle()
    world.clock.go(hours=1)
    world.wake()
    world.settle()
    assert not [mail for mail in world.mails() if re.search(r"gng_[A-Za-z0-9_-]+", mail_text(mail))]


@pytest.mark.parametrize(
    ("life", "words"),
    [
        ("launch", ["cleared", "running"]),
        ("reject", ["no-go"]),
        ("expire", ["expired"]),
        ("fail", ["cleared", "failed"]),
        ("operator", ["running"]),
    ],
)
def test_the_requester_hears_how_it_ends(world: World, life: str, words: list[str]) -> None:
    """Whoever asked hears of approval, rejection, launch and failure, each once, and needs to ask nobody."""
    who = "ops" if life == "operator" else "dev"
    launch = world.ask(who)
    if life in ("launch", "fail"):
        world.decide(launch, "lead", "lead")
    if life == "reject":
        world.decide(launch, "lead", "lead", "reject", comment="too dear for a fair")
    if life == "expire":
        world.clock.go(days=3)
        world.wake()
    fault = refusing("ec2.RunInstances", "VcpuLimitExceeded", "You have 0 vCPUs left.")
    with on_each_call(**({"before": fault} if life == "fail" else {})):
        world.settle()
    heard = [subject.lower() for subject in subjects(world, who)]
    assert len(heard) == len(words)
    assert all(word in subject for word, subject in zip(words, heard, strict=True)), heard
    whole = mail_text(world.mails(who)[-1])
    assert launch["id"] in whole
    assert "gng_" not in whole
    if life == "fail":
        assert "You have 0 vCPUs left." in whole
    if life == "reject":
        assert "too dear for a fair" in whole


def test_whoever_it_is_for_hears_too(world: World) -> None:
    """A pipeline asks; the person that it asks for is the one who waits."""
    world.publish(with_a_bot())
    body = {
        "template": "web-small",
        "reason": "nightly",
        "cost_center": "ci",
        "on_behalf_of": {"issuer": ISSUER, "subject": "dev"},
    }
    launch = world.call("POST", "/v1/launches", body, who="bot").json
    world.decide(launch, "lead", "lead", "reject")
    world.settle()
    assert len(world.mails("dev")) == 1


def test_who_decides_by_link_is_told_so_and_may_take_it_back(world: World) -> None:
    """If somebody else used the link, its owner hears of it, and has the code to undo it at hand."""
    launch = world.ask(template="gpu-large")
    world.settle()
    by_link(world, "lead")
    asked, confirmed = world.mails("lead")
    assert str(asked["Subject"]) != str(confirmed["Subject"])
    assert "gng_" in mail_text(confirmed)
    assert by_link(world, "lead", "revoke")["gates"][0]["state"] == "OPEN"
    assert world.read(launch["id"])["gates"][0]["approvals"] == 0


def test_who_decides_signed_in_needs_no_confirmation(world: World) -> None:
    """A login is proof enough."""
    launch = world.ask(template="gpu-large")
    world.settle()
    world.decide(launch, "lead", "lead")
    world.settle()
    assert len(world.mails("lead")) == 1


def test_a_confirmation_after_all_is_cleared_has_no_code(world: World) -> None:
    """There is nothing to take back any more, so nothing that looks as if there were."""
    world.ask()
    world.settle()
    by_link(world, "lead")
    assert "gng_" not in mail_text(world.mails("lead")[-1])


def test_a_private_webhook_gets_the_code(world: World) -> None:
    """A bot that one person owns may decide for them: it is posted the code, signed with their secret."""
    world.publish(with_hook(private=True))
    launch = world.ask()
    world.settle()
    assert world.mails() == []
    (post,) = world.posted.posts
    assert (post["url"], post["secrets"]) == (HOOK, (SECRET,))
    data = post["body"]["data"]
    assert (post["body"]["type"], data["gate"], data["round"]) == ("notice.decide", "lead", 1)
    assert data["launch"] == world.read(launch["id"])
    assert data["link"] == f"http://gonogo.test/decide#{data['token']}"
    answer = world.call("POST", "/v1/decisions", {"token": data["token"], "verdict": "approve"})
    assert (answer.code, answer.json["gates"][0]["decisions"][0]["channel"]) == (200, "webhook")
    world.settle()
    assert [one["body"]["type"] for one in world.posted.posts] == ["notice.decide", "notice.confirmed"]


def test_a_webhook_that_others_read_gets_a_pointer(world: World) -> None:
    """A chat channel sees that something waits, and nothing that decides it."""
    world.publish(with_hook(private=False))
    launch = world.ask()
    world.settle()
    (post,) = world.posted.posts
    assert "gng_" not in str(post)
    assert post["body"]["data"]["link"] == f"http://gonogo.test/launches/{launch['id']}"
    assert world.decide(launch, "lead", "lead").code == 200


def test_a_person_who_has_both_gets_both(world: World) -> None:
    """One notice, two ways; the code of the mail is not that of the webhook."""
    world.publish(with_hook(private=True, mail=True))
    world.ask()
    world.settle()
    assert len(deliveries(world)) == 1
    assert world.posted.posts[0]["body"]["data"]["token"] != world.token("lead")


def test_a_dead_webhook_holds_up_nothing(world: World) -> None:
    """The mail goes out, the decision counts, the launch happens, whatever becomes of the other way."""
    world.publish(with_hook(private=True, mail=True))
    world.posted.fail = LaterError("it does not answer")
    launch = world.ask()
    world.settle()
    by_link(world, "lead")
    assert world.read(launch["id"])["state"] == "RUNNING"
    world.posted.fail = None
    for _ in range(10):
        world.clock.go(hours=1)
        world.wake()
        world.settle()
    assert "notice.decide" not in [one["body"]["type"] for one in world.posted.posts]


def test_a_webhook_that_is_down_is_tried_less_and_less_often(world: World) -> None:
    """After a minute, five, fifteen, an hour, then every three; then it is given up, on record."""
    world.publish(with_hook(private=True))
    world.posted.fail = LaterError("it does not answer")
    world.ask()
    world.settle()
    for minutes in (1, 5, 15, 60, *[180] * 10):
        (before,) = deliveries(world)
        world.clock.go(minutes=minutes, seconds=-1)
        world.wake()
        assert deliveries(world) == [before]
        world.clock.go(seconds=1)
        world.wake()
        world.settle()
        assert deliveries(world)[0].channels["webhook"].tries == before.channels["webhook"].tries + 1
    (given_up,) = deliveries(world)
    assert (given_up.channels["webhook"].state, given_up.due_at) == ("failed", None)
    world.posted.fail = None
    world.clock.go(days=1)
    world.wake()
    world.settle()
    assert world.posted.posts == []


def test_a_webhook_that_comes_back_gets_the_same_message(world: World) -> None:
    """The receiver knows a message by its id, however often it is posted; it is signed anew each time."""
    world.publish(with_hook(private=True))
    seen: list[str] = []
    post = world.posted.post

    def refuse(url: str, body: bytes, *, message_id: str, **more: Any) -> None:
        seen.append(message_id)
        if len(seen) < 3:
            raise LaterError("busy", retry_after=600 if len(seen) == 1 else None)
        post(url, body, message_id=message_id, **more)

    world.posted.post = refuse  # type: ignore[method-assign]
    world.ask()
    world.settle()
    world.clock.go(minutes=9)
    world.wake()
    world.settle()
    assert len(seen) == 1
    for minutes in (1, 5):
        world.clock.go(minutes=minutes)
        world.wake()
        world.settle()
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert world.posted.posts[0]["at"] == world.clock()


@pytest.mark.parametrize("why", ["refused", "no secret"])
def test_a_webhook_that_must_not_be_called_is_given_up(world: World, why: str) -> None:
    """A redirect, a private address, a secret that is not there: waiting mends none of them."""
    files = with_hook(private=True)
    if why == "refused":
        world.posted.fail = RefusedError("address", "The host has an address that may not be called.")
    else:
        client("ssm").delete_parameter(Name="/gonogo/webhooks/lead-secret")
    world.publish(files)
    launch = world.ask()
    world.settle()
    (failed,) = deliveries(world)
    assert failed.channels["webhook"].state == "failed"
    assert world.call("GET", "/v1/inbox", who="lead").json["items"][0]["launch"]["id"] == launch["id"]


def test_the_way_to_reach_somebody_is_todays(world: World) -> None:
    """Rules are of the day that it was asked; addresses are of the day that it is told."""
    launch = world.ask()
    files = policy()
    files["people.toml"] = files["people.toml"].replace("lead@example.com", "lead.new@example.com")
    world.publish(files)
    world.settle()
    assert [str(mail["To"].addresses[0].addr_spec) for mail in world.mails()] == ["lead.new@example.com"]  # type: ignore[attr-defined]
    assert launch["gates"][0]["state"] == "OPEN"


def test_who_cannot_be_reached_finds_it_in_the_inbox(world: World) -> None:
    """A person without mail and webhook still has what waits for them."""
    world.publish(policy(person("lead", "leads", mail=False), without=("lead",)))
    launch = world.ask()
    world.settle()
    assert world.mails() == []
    (item,) = world.call("GET", "/v1/inbox", who="lead").json["items"]
    assert item["launch"]["id"] == launch["id"]


def test_a_forged_cue_tells_nobody_anything(world: World) -> None:
    """A message that says what did not happen, or names what there is not, is passed over."""
    launch = world.ask()
    world.settle()
    before, mails = world.rows(), len(world.mails())
    for kind, seq in (
        ("launch.started", 3),
        ("launch.rejected", 99),
        ("gate.closed", 1),
        ("launch.cleared", 0),
    ):
        forged = {"type": kind, "subject": launch["id"], "seq": seq, "data": {"gate": "lead", "round": 1}}
        assert again(world, "notify", forged) == []
        assert again(world, "deliver", forged) == []
    for subject in ("l-none", "d-none"):
        for kind in ("gate.opened", "delivery.due"):
            assert again(world, "notify", {"type": kind, "subject": subject, "seq": 1}) == []
    assert (world.rows(), len(world.mails())) == (before, mails)


def test_a_mail_of_many_is_hurt_by_none(world: World) -> None:
    """Of a batch, the message that cannot be handled comes again alone."""
    world.ask()
    without_notify(world)
    said = opened(world)
    answer = world.invoke("notify", messages({}, on_bus(said), {"detail": None}))
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["m0", "m2"]
    assert len(world.mails("lead")) == 1


@pytest.mark.parametrize(
    ("function", "queue", "slow", "seconds"),
    [
        ("notify", "NotifyQueue", "sesv2.SendEmail", 31),
        ("deliver", "DeliverQueue", "ssm.GetParameter", 101),
    ],
)
def test_nothing_is_begun_that_might_not_be_ended(
    world: World, function: str, queue: str, slow: str, seconds: int
) -> None:
    """Lambda ends a function wherever it is: what is left of a slow batch goes out by its alarm, and is not lost."""
    if function == "deliver":
        world.publish(with_hook(private=True))
    for _ in range(3):
        world.ask()
    without_notify(world, queue)
    told = [on_bus(one) for one in world.events() if one["type"] == "gate.opened"]

    def wait(operation: str, _parameters: Any) -> None:
        if operation == slow:
            world.clock.go(seconds=seconds)

    with on_each_call(before=wait):
        assert world.invoke(function, messages(*told)) == {"batchItemFailures": []}
    assert len(world.mails("lead")) + len(world.posted.posts) == 1
    for _ in range(3):
        world.clock.go(minutes=5)
        world.wake()
        world.settle()
    assert len(world.mails("lead")) + len(world.posted.posts) == 3


@pytest.mark.parametrize("send", [notify.send, deliver.send])
def test_who_can_be_reached_no_longer_is_not_taken_for_told(
    world: World, send: Callable[[Notice], None]
) -> None:
    """Between the notice and its sending policy may take a way away; the inbox says so then."""
    notice = notices.CASES["decide"]()
    unreached = msgspec.structs.replace(notice.person, mail=None, webhook=None)
    with pytest.raises(RefusedError, match="Unreachable"):
        send(msgspec.structs.replace(notice, person=unreached))


def test_a_question_of_another_epoch_is_another_message() -> None:
    """It brings another code, and a receiver that knows the id already would pass over it; news are the same news."""
    asks, tells = notices.CASES["decide"](), notices.CASES["cleared"]()
    assert [deliver._message_id(asks, epoch) for epoch in (1, 2)] == [asks.id, f"{asks.id}-2"]
    assert [deliver._message_id(tells, epoch) for epoch in (1, 2)] == [tells.id, tells.id]


def test_a_webhook_is_told_in_whose_place_its_reader_decides() -> None:
    """A stand-in's chat must not show it as their own to say."""
    seat = notices.LEO.actor
    asked = notices.notice("decide", notices.asked(), notices.FINA, on="lead", instead_of=(seat,))
    assert deliver.body(asked).data.instead_of == (seat,)


def test_a_gate_that_opens_again_asks_again(world: World) -> None:
    """Another round is another question, with another code; who has answered before is asked anew."""
    launch = world.ask(template="gpu-large")
    world.settle()
    world.decide(launch, "lead", "lead")
    world.settle()
    world.decide(launch, "lead", "lead", "revoke")
    world.settle()
    asked = [mail for mail in world.mails("lead") if code_in(mail)]
    assert len(asked) == 2
    assert code_in(asked[0]) != code_in(asked[1])
    (item,) = world.call("GET", "/v1/inbox", who="lead").json["items"]
    assert item["gate"]["round"] == 2


def code_in(mail: EmailMessage) -> str | None:
    """Return the code in a mail, if there is one."""
    found = re.search(r"gng_[A-Za-z0-9_-]+", mail_text(mail))
    return found[0] if found else None


def test_only_those_who_may_now_are_asked(world: World) -> None:
    """Between the opening of the gate and the mail a lead left: no code is made for who could not use it."""
    world.publish(policy(TWO_MORE_LEADS, lead=gate("lead", quorum=2)))
    world.ask()
    world.publish(policy(TWO_MORE_LEADS, lead=gate("lead", quorum=2), without=("lead",)))
    world.settle()
    assert [len(world.mails(who)) for who in ("lead", "lead2", "lead3")] == [0, 1, 1]
