"""What a person, a robot and another site can do with a link, in a real browser against the running house."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.conftest import PHONE, Running

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

LONG = "Donaudampfschifffahrtsgesellschaftskapitänswitwe " * 6 + "W" * 400
ELSEWHERE = "http://elsewhere.example/"


def open_link(page: Page, link: str) -> None:
    """Open a link as from a mail, and wait for the question."""
    page.goto(link)
    expect(page.get_by_role("button", name="Send decision")).to_be_visible()


# -- a person ----------------------------------------------------------------------------------------------


def test_typing_go_decides(running: Running, phone: Page) -> None:
    """The main job: open the link, read, type GO, send."""
    launch = running.ask(name="fair-page")
    open_link(phone, running.link(launch))
    expect(phone.get_by_role("heading", name="fair-page")).to_be_visible()
    assert running.undecided(launch)
    phone.get_by_label("Type GO or NO-GO").fill("GO")
    phone.get_by_role("button", name="Send decision").tap()
    expect(phone.get_by_role("heading", name="GO is recorded")).to_be_visible()
    (decision,) = running.read(launch)["gates"][0]["decisions"]
    assert (decision["actor"]["subject"], decision["verdict"], decision["channel"]) == (
        "lead",
        "approve",
        "link",
    )


def test_typing_no_go_rejects(running: Running, phone: Page) -> None:
    """The other word, with a reason for whoever asked, sent with the keyboard alone."""
    launch = running.ask()
    open_link(phone, running.link(launch))
    phone.get_by_text("Add a comment").tap()
    phone.get_by_label("Comment").fill("too dear\nask for less")
    phone.get_by_label("Type GO or NO-GO").fill("no-go")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("heading", name="NO-GO is recorded")).to_be_visible()
    now = running.read(launch)
    assert now["state"] == "REJECTED"
    assert now["gates"][0]["decisions"][0]["comment"] == "too dear\nask for less"


def test_typing_revoke_takes_it_back(running: Running, phone: Page) -> None:
    """The same link shows what one said, and takes it back while that is possible."""
    launch = running.ask(template="gpu-large")
    link = running.link(launch)
    open_link(phone, link)
    phone.get_by_label("Type GO or NO-GO").fill("GO")
    phone.get_by_role("button", name="Send decision").tap()
    expect(phone.get_by_role("heading", name="GO is recorded")).to_be_visible()
    phone.goto("about:blank")
    phone.goto(link)
    phone.get_by_label("type REVOKE").fill("revoke")
    phone.get_by_role("button", name="Take it back").tap()
    expect(phone.get_by_role("heading", name="Your decision is taken back")).to_be_visible()
    assert running.read(launch)["state"] == "PENDING_APPROVAL"


def test_typing_something_else_shows_the_question_again(running: Running, phone: Page) -> None:
    """A slip is said to be one, beside the field, and costs nothing that was typed."""
    launch = running.ask()
    open_link(phone, running.link(launch))
    phone.get_by_text("Add a comment").tap()
    phone.get_by_label("Comment").fill("first line\nsecond line")
    answer = phone.get_by_label("Type GO or NO-GO")
    answer.fill("maybe")
    answer.press("Enter")
    expect(phone.get_by_role("alert")).to_contain_text("Nothing is decided.")
    expect(answer).to_have_value("")
    expect(answer).to_have_attribute("aria-invalid", "true")
    expect(phone.get_by_label("Comment")).to_have_value("first line\nsecond line")
    assert running.undecided(launch)


def test_without_scripts_the_code_is_pasted(running: Running, browser: Browser) -> None:
    """The three lines of script save typing, and nothing depends on them."""
    launch = running.ask()
    link = running.link(launch)
    with browser.new_context(viewport=PHONE, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_label("Code")).to_have_value("")
        page.get_by_label("Code").fill(urlsplit(link).fragment)
        page.get_by_role("button").click()
        page.get_by_label("Type GO or NO-GO").fill("GO")
        page.get_by_role("button", name="Send decision").click()
        expect(page.get_by_role("heading", name="GO is recorded")).to_be_visible()
    assert not running.undecided(launch)


# -- the code ----------------------------------------------------------------------------------------------


def test_script_shows_and_decides_nothing(running: Running, phone: Page) -> None:
    """A link is opened by whoever delivers it, too: what the script sends is the code and nothing else."""
    launch = running.ask()
    link = running.link(launch)
    sent: list[str | None] = []
    phone.on("request", lambda request: sent.append(request.post_data) if request.method == "POST" else None)
    open_link(phone, link)
    assert sent == [f"code={urlsplit(link).fragment}"]
    assert running.undecided(launch)


def test_code_stays_out_of_addresses(running: Running, phone: Page) -> None:
    """Addresses are kept, synchronised, suggested and sent on; the code must not be in one."""
    code = urlsplit(link := running.link(running.ask())).fragment
    answers: list[Response] = []
    phone.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108
    open_link(phone, link)
    assert code not in phone.url
    for answer in answers:
        assert code not in str(answer.request.all_headers())
        assert code not in str(answer.all_headers())
    phone.go_back()
    assert code not in phone.url
    assert code not in str(phone.evaluate("[location.href, history.state, document.referrer]"))


def test_second_link_in_the_same_tab_is_followed(running: Running, phone: Page) -> None:
    """Where the form stands already, another link changes nothing but the fragment."""
    link = running.link(running.ask(name="second-one"))
    phone.goto(running.url + "decide")
    phone.evaluate("link => { location.href = link }", link)
    expect(phone.get_by_role("heading", name="second-one")).to_be_visible()


def test_code_that_is_none_is_said_to_be_none(running: Running, phone: Page) -> None:
    """Half a link, or one whose time is over, leads to a page that says so."""
    phone.goto(running.url + "decide#gng_none")
    expect(phone.get_by_role("heading", name="The code is not valid")).to_be_visible()


# -- a robot -----------------------------------------------------------------------------------------------

CONTROLS = "a, button, summary, input:not([type=hidden]), textarea, label"


def test_robot_that_presses_every_control_decides_nothing(running: Running, phone: Page) -> None:
    """Scanners of links open them in real browsers, and press what can be pressed."""
    launch = running.ask(template="gpu-large")
    link = running.link(launch)
    open_link(phone, link)
    for number in range(phone.locator(CONTROLS).count()):
        phone.goto("about:blank")
        open_link(phone, link)
        phone.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        phone.locator(CONTROLS).nth(number).click(no_wait_after=True)
        phone.keyboard.press("Enter")
        phone.wait_for_load_state()
    assert running.undecided(launch)


def test_robot_that_submits_every_form_decides_nothing(running: Running, phone: Page) -> None:
    """Nor if it goes round what the browser checks, and sends the forms as they stand."""
    launch = running.ask()
    open_link(phone, running.link(launch))
    for _ in range(3):
        with phone.expect_navigation():
            phone.evaluate("document.forms[0].submit()")
        expect(phone.get_by_role("alert")).to_contain_text("Nothing is decided.")
    assert running.undecided(launch)


def test_robot_that_fills_every_field_decides_nothing(running: Running, phone: Page) -> None:
    """Nor if it writes into each field what robots write."""
    launch = running.ask()
    open_link(phone, running.link(launch))
    for filler in ("test@example.com", "yes", "approve"):
        phone.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        for field in phone.locator("input:not([type=hidden]), textarea").all():
            field.fill(filler)
        with phone.expect_navigation():
            phone.get_by_role("button", name="Send decision").click()
        expect(phone.get_by_role("alert")).to_contain_text("Nothing is decided.")
    assert running.undecided(launch)


# -- another site ------------------------------------------------------------------------------------------


def test_other_site_cannot_frame_it(running: Running, browser: Browser) -> None:
    """A page in a frame, made invisible, has its field filled for something else."""
    link = running.link(running.ask())
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.route(
            ELSEWHERE, lambda route: route.fulfill(content_type="text/html", body=f'<iframe src="{link}">')
        )
        with page.expect_event("requestfailed") as failed:
            page.goto(ELSEWHERE, wait_until="commit")
        assert failed.value.url.startswith(running.url)
        assert failed.value.failure == "net::ERR_BLOCKED_BY_RESPONSE"


def test_other_site_cannot_send_its_form(running: Running, phone: Page) -> None:
    """Who has somebody's code could have the browser of a person next to it send it, with their address."""
    launch = running.ask()
    code = urlsplit(running.link(launch)).fragment
    form = (
        f'<form method="post" action="{running.url}decide"><input name="code" value="{code}">'
        f'<input name="digest" value="{launch["digest"]}"><input name="answer" value="GO"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    phone.route(ELSEWHERE, lambda route: route.fulfill(content_type="text/html", body=form))
    phone.goto(ELSEWHERE)
    expect(phone.get_by_text("It came from another site.")).to_be_visible()
    assert running.undecided(launch)


# -- how it looks ------------------------------------------------------------------------------------------


def test_long_words_do_not_widen_a_phone(running: Running, phone: Page) -> None:
    """What a requester writes does not push the button out of reach."""
    launch = running.ask(name="W" * 100, reason=LONG, cost_center="m" * 64, parameters={"count": 2})
    open_link(phone, running.link(launch))
    phone.get_by_text("The whole plan").tap()
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    button = phone.get_by_role("button", name="Send decision")
    button.scroll_into_view_if_needed()
    expect(button).to_be_in_viewport(ratio=1)


def test_touch_finds_what_it_aims_at(running: Running, phone: Page) -> None:
    """Controls are 44 pixels high or more (WCAG 2.2, 2.5.5), and text of 16 keeps iOS from zooming in."""
    open_link(phone, running.link(running.ask()))
    for control in (
        phone.get_by_label("Type GO or NO-GO"),
        phone.get_by_role("button", name="Send decision"),
    ):
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert control.evaluate("one => parseFloat(getComputedStyle(one).fontSize)") >= 16


CONTRASTS = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('main *')].filter(one => [...one.childNodes].some(n => n.nodeType === 3
      && n.data.trim())).map(one => {
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), one.tagName + ' ' + one.textContent.trim().slice(0, 40)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_by_day_and_by_night(running: Running, phone: Page, scheme: str) -> None:
    """Text stands out from its ground by 4.5 to 1 or more (WCAG 2.2, 1.4.3)."""
    phone.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_link(phone, running.link(running.ask()))
    phone.get_by_text("The whole plan").tap()
    phone.get_by_label("Type GO or NO-GO").fill("x")
    phone.get_by_role("button", name="Send decision").tap()
    expect(phone.get_by_role("alert")).to_be_visible()
    ground = phone.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(16, 18, 22)") == (scheme == "dark")
    contrasts = phone.evaluate(CONTRASTS)
    assert len(contrasts) > 10
    assert [text for ratio, text in contrasts if ratio < 4.5] == []
