"""The pages that sign in, in a real browser: a person signs in by PKCE, and what strangers try leads nowhere.

Signing in is real: the page, the issuer and the tokens of a running house. What the API says of usage is played
where a month must hold what a test needs; one test takes what the house says, and so does that of the launches.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from functions import signed_in
from gonogo import bootstrap
from gonogo.bootstrap import Gonogo, Settings
from tests.browser.conftest import PATIENCE, PHONE, Running
from tests.browser.test_decision import CONTRASTS

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

HOSTILE = "<img src=x onerror=alert(1)>" + "W" * 36
CHART = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 20" onload="alert(1)"><script>alert(1)</script>'
    '<style>rect{fill:#1d4ed8}</style><rect width="9" height="9"/><image href="http://elsewhere.example/x"/></svg>'
)


def summary(month: str, *names: str) -> dict[str, Any]:
    """Return what the API says of a month in which these cost centers used something."""
    days = (("27", 5400, "0.0156000000"), ("28", 3600, "1234.5678901234"))
    items = [
        {
            "day": f"{month}-{day}",
            "cost_center": name,
            "currency": "USD",
            "instances": 1,
            "seconds": seconds,
            "cost": cost,
        }
        for day, seconds, cost in days
        for name in names
    ]
    return {"month": month, "cost_center": None, "items": items, "cursor": None}


class Api:
    """What the API answers about usage; a test changes it, and sees what it was asked with."""

    def __init__(self) -> None:
        self.months: dict[str, Any] = {}
        self.names: tuple[str, ...] = ("4711", HOSTILE)
        self.refuses: dict[str, Any] | None = None
        self.bearers: set[str] = set()
        self.charts: list[dict[str, list[str]]] = []

    def answer(self, route: Route) -> None:
        """Answer one request."""
        self.bearers.add(route.request.headers["authorization"])
        asked = parse_qs(urlsplit(route.request.url).query)
        if self.refuses is not None and not self.refuses["status"]:
            route.abort()
        elif self.refuses is not None:
            route.fulfill(status=self.refuses["status"], json=self.refuses)
        elif "chart" in route.request.url:
            self.charts.append(asked)
            route.fulfill(content_type="image/svg+xml", body=CHART)
        else:
            (part,) = asked.get("cursor", asked["month"])
            route.fulfill(json=self.months.get(part) or summary(part, *self.names))


@pytest.fixture(name="api")
def played_api(phone: Page) -> Api:
    """Play what the API says of usage to the page."""
    api = Api()
    phone.route("**/v1/usage/*", api.answer)
    return api


def sign_in(page: Page, running: Running, who: str = "finance", where: str = "usage") -> None:
    """Sign in as a person does."""
    page.goto(running.url + where)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=who).click()


# -- a person ----------------------------------------------------------------------------------------------


def test_person_signs_in_and_sees_what_a_month_cost(running: Running, phone: Page, api: Api) -> None:
    """The main job; sums are exact to the last digit, for what is rounded cannot be checked against a bill."""
    sign_in(phone, running)
    expect(phone.get_by_text("Signed in as finance")).to_be_visible()
    days = phone.get_by_role("table", name="Each day of all cost centers, in USD")
    expect(days.get_by_role("row", name="Fri 27 Nov 3.00 0.0312")).to_be_visible()
    expect(days.get_by_role("row", name="Sum 5.00 2469.1669802468")).to_be_visible()
    centers = phone.get_by_role("table", name="Each cost center, in USD")
    expect(centers.get_by_role("row", name="4711 2.50 1234.5834901234")).to_be_visible()
    chart = phone.get_by_role("img", name="Cost per day of all cost centers in 2026-11")
    expect(chart).to_be_visible()
    assert chart.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    assert str(chart.get_attribute("src")).startswith("blob:")
    phone.get_by_label("Cost center").select_option(HOSTILE)
    expect(phone.get_by_role("table", name=f"Each day of {HOSTILE}, in USD")).to_be_visible()
    phone.get_by_label("Month").select_option("2025-12")
    expect(phone.get_by_text("Sat 27 Dec")).to_be_visible()
    assert api.charts[-1] == {"month": ["2025-12"], "cost_center": [HOSTILE]}
    (bearer,) = api.bearers
    answer = httpx.get(running.url + "v1/inbox", headers={"authorization": bearer}, timeout=PATIENCE)
    assert answer.status_code == 200


def test_page_shows_what_the_api_says(running: Running, phone: Page) -> None:
    """What ran in this house, by its own API: the number in the table, and the chart that it draws."""
    (day,) = running.use("4711")
    sign_in(phone, running)
    phone.get_by_label("Cost center").select_option("4711")
    days = phone.get_by_role("table", name="Each day of 4711, in USD")
    cost = str(day["cost"]).rstrip("0")
    hours = f"{day['seconds'] / 3600:.2f}"
    expect(days.get_by_role("row", name="Sum")).to_contain_text(f"{hours}{cost}")
    chart = phone.get_by_role("img", name="Cost per day of 4711")
    assert chart.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0


def test_keyboard_and_weak_eyes_are_enough(running: Running, phone: Page, api: Api) -> None:
    """Text stands out by 4.5 to 1 or more (WCAG 2.2, 1.4.3), touch finds its target, nothing widens a phone."""
    phone.goto(running.url + "usage")
    for name in ("Your launches", "Usage", "Sign in"):
        phone.keyboard.press("Tab")
        expect(
            phone.get_by_role("button", name=name).or_(phone.get_by_role("link", name=name))
        ).to_be_focused()
    phone.keyboard.press("Enter")
    phone.get_by_role("heading", name="Who are you?").wait_for()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    expect(phone.get_by_text("Signed in as dev")).to_be_visible()
    expect(phone.get_by_role("img")).to_be_visible()
    phone.get_by_role("link", name="Usage").focus()
    for control in ("Month", "Cost center"):
        phone.keyboard.press("Tab")
        expect(phone.get_by_label(control, exact=True)).to_be_focused()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("button", name="Enlarge", pressed=True)).to_be_focused()
    assert phone.get_by_label("Chart", exact=True).evaluate("one => one.scrollWidth > one.clientWidth")
    phone.emulate_media(color_scheme="light")
    by_day = phone.evaluate(CONTRASTS)
    phone.emulate_media(color_scheme="dark")
    by_night = phone.evaluate(CONTRASTS)
    assert len(by_day) > 10
    assert by_day != by_night
    assert [text for ratio, text in (*by_day, *by_night) if ratio < 4.5] == []
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for seen in phone.locator("select, button").filter(visible=True).all():
        box = seen.bounding_box()
        assert box is not None
        assert box["height"] >= 44


def test_table_is_of_the_month_that_was_chosen_last(running: Running, phone: Page, api: Api) -> None:
    """A month's numbers under another month's name would be billed, and an empty table looks like a fault."""
    api.months["2026-10"] = summary("2026-10")
    sign_in(phone, running)
    expect(phone.get_by_role("img")).to_be_visible()
    phone.get_by_label("Month").select_option("2026-10")
    expect(phone.get_by_role("status")).to_have_text("Nothing was used in this month.")
    expect(phone.get_by_role("table")).to_have_count(0)
    expect(phone.get_by_label("Cost center")).to_be_disabled()
    parts = summary("2026-07", "4711")
    api.months["2026-07"] = parts | {"items": parts["items"][:1], "cursor": "more&more"}
    api.months["more&more"] = parts | {
        "items": [parts["items"][0] | {"cost": "-0.0056"}, *parts["items"][1:]]
    }
    phone.get_by_label("Month").select_option("2026-07")
    expect(phone.get_by_role("row", name="Mon 27 Jul 3.00 0.01")).to_be_visible()
    euros = summary("2026-06", "4711")["items"][0] | {"currency": "EUR", "cost": "1.5"}
    api.months["2026-06"] = parts | {"items": [*summary("2026-06", "4711")["items"], euros]}
    phone.get_by_label("Month").select_option("2026-06")
    expect(phone.get_by_role("row", name="Sat 27 Jun 3.00 0.0156 USD + 1.50 EUR")).to_be_visible()
    held: list[Route] = []
    phone.route("**/v1/usage/summary?month=2026-09", lambda route: held.append(route))  # noqa: PLW0108
    phone.get_by_label("Month").select_option("2026-09")
    phone.get_by_label("Month").select_option("2026-08")
    expect(phone.get_by_text("Thu 27 Aug")).to_be_visible()
    with phone.expect_response("**/v1/usage/summary?month=2026-09"):
        held[0].fulfill(json=summary("2026-09", "4711"))
    phone.evaluate("new Promise(done => setTimeout(done, 50))")
    expect(phone.get_by_text("Thu 27 Aug")).to_be_visible()
    expect(phone.get_by_label("Cost center").get_by_role("option")).to_have_count(3)


def test_person_sees_what_waits_and_what_became_of_it(running: Running, phone: Page) -> None:
    """The same sign-in, and this time all is the API's own answer: the inbox of who decides, the list of who asked."""
    launch = running.ask(name="fair-page", reason=HOSTILE)
    running.link(launch)
    sign_in(phone, running, "lead", "home")
    waits = (
        phone.get_by_role("table", name="Waits for you").get_by_role("row").filter(has_text="fair-page").first
    )
    expect(waits).to_contain_text(f"7.60 USD a month, gate Team lead, asked by dev: {HOSTILE}")
    expect(waits.get_by_role("link", name="fair-page")).to_have_attribute("href", f"launches/{launch['id']}")
    expect(phone.get_by_text("You asked for nothing yet.")).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    phone.get_by_role("button", name="Sign out").click()
    sign_in(phone, running, "dev", "home")
    asked = (
        phone.get_by_role("table", name="You asked for").get_by_role("row").filter(has_text="fair-page").first
    )
    expect(asked).to_contain_text("PENDING_APPROVAL")


# -- when something is refused -----------------------------------------------------------------------------


def test_what_goes_wrong_is_said_plainly(running: Running, phone: Page, api: Api) -> None:
    """Policy's refusal in its own words, an outage as one; nothing of an earlier answer stays to mislead."""
    sign_in(phone, running, "Nobody")
    expect(phone.get_by_role("alert")).to_contain_text("said no (access_denied)")
    assert phone.url == running.url + "usage"
    phone.get_by_role("button", name="Sign in").click()
    phone.get_by_role("button", name="dev").click()
    expect(phone.get_by_role("img")).to_be_visible()
    for refusal, said in (
        ({"status": 403, "detail": "Policy does not let you."}, "Policy does not let you."),
        ({"status": 0}, "gonogo did not answer. Try again."),
    ):
        api.refuses = refusal
        phone.get_by_label("Month").select_option("2026-10")
        expect(phone.get_by_role("alert")).to_have_text(said)
        expect(phone.get_by_role("img")).to_have_count(0)
        expect(phone.get_by_role("table")).to_have_count(0)
        api.refuses = None
        phone.get_by_label("Month").select_option("2026-11")
        expect(phone.get_by_role("img")).to_be_visible()
        expect(phone.get_by_role("alert")).to_have_count(0)
    api.refuses = {"status": 401, "detail": "The bearer token is not valid."}
    phone.get_by_label("Month").select_option("2026-10")
    expect(phone.get_by_role("alert")).to_have_text("You are signed in no longer. Sign in again.")
    expect(phone.get_by_label("Month")).to_be_hidden()
    expect(phone.get_by_role("button", name="Sign in")).to_be_visible()


# -- where the bearer is, and is not -----------------------------------------------------------------------


def test_bearer_is_in_memory_and_goes_to_our_api_alone(running: Running, phone: Page, api: Api) -> None:
    """What is in a store, an address or a cookie is there for other scripts, other people and other days."""
    sent: list[Request] = []
    exchanged: list[str] = []

    def look(route: Route) -> None:
        exchanged.append(phone.url)
        route.continue_()

    phone.on("request", lambda request: sent.append(request))  # noqa: PLW0108
    phone.route("**/_local/authorize/token", look)
    sign_in(phone, running)
    expect(phone.get_by_role("img")).to_be_visible()
    assert exchanged == [running.url + "usage"]
    (bearer,) = api.bearers
    token = bearer.removeprefix("Bearer ")
    kept = phone.evaluate(
        "[{...sessionStorage}, {...localStorage}, document.cookie, location.href, history.state,"
        " document.documentElement.outerHTML]"
    )
    assert kept[:5] == [{}, {}, "", running.url + "usage", None]
    assert token not in kept[5]
    assert phone.context.cookies() == []
    for request in sent:
        assert request.url.startswith((running.url, "blob:"))
        assert token not in request.url
        ours = urlsplit(request.url).path.startswith("/v1/")
        assert (token in str(request.headers)) == ours
    phone.get_by_role("button", name="Sign out").click()
    expect(phone.get_by_role("button", name="Sign in")).to_be_visible()
    expect(phone.get_by_role("img")).to_have_count(0)


# -- strangers ---------------------------------------------------------------------------------------------


def test_code_that_this_tab_did_not_ask_for_is_not_taken(running: Running, phone: Page, api: Api) -> None:
    """Else a stranger's link could sign somebody in as the stranger (RFC 6749, 10.12)."""
    exchanged: list[str] = []
    phone.on("request", lambda request: exchanged.append(request.url) if "/token" in request.url else None)
    for begun in (False, True):
        phone.goto(running.url + "usage")
        if begun:
            phone.get_by_role("button", name="Sign in").click()
            phone.get_by_role("heading", name="Who are you?").wait_for()
        phone.goto(running.url + "usage?code=theirs&state=theirs")
        expect(phone.get_by_role("alert")).to_have_text("This tab did not ask for that. Sign in again.")
        assert phone.url == running.url + "usage"
    phone.goto(running.url + "usage?error=call_this_number&state=x")
    expect(phone.get_by_role("alert")).to_have_text("This tab did not ask for that. Sign in again.")
    assert exchanged == []
    assert api.bearers == set()


def token(**claims: Any) -> str:
    """Return what looks like a token; who checks it is the API, which these tests do not reach."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


GOOD = {"iss": "http://gonogo.local", "aud": "gonogo-pages", "nonce": "another", "sub": "dev"}


def test_token_of_another_sign_in_is_not_taken(running: Running, phone: Page, api: Api) -> None:
    """Its nonce is not the one that this tab asked with (OpenID Connect Core 1.0, 3.1.3.7)."""
    ours = token(**{**GOOD, "aud": "gonogo"})
    answers: list[Any] = [{"access_token": ours, "id_token": token(**GOOD)}, {"access_token": ours}, []]
    phone.route("**/_local/authorize/token", lambda route: route.fulfill(json=answers.pop()))
    phone.goto(running.url + "usage")
    while answers:
        phone.get_by_role("button", name="Sign in").click()
        phone.get_by_role("button", name="dev").click()
        expect(phone.get_by_role("alert")).to_contain_text("a token that is not for this sign-in")
    assert api.bearers == set()


def test_what_others_wrote_is_read_never_run(running: Running, phone: Page, api: Api) -> None:
    """A cost center is whatever a requester typed, and a chart is drawn from it."""
    loaded: list[str] = []
    phone.on("request", lambda request: loaded.append(request.url))
    phone.on("dialog", lambda dialog: loaded.append(dialog.message))
    api.names = (HOSTILE,)
    sign_in(phone, running)
    chart = phone.get_by_role("img")
    expect(chart).to_be_visible()
    assert chart.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    expect(phone.get_by_role("table").get_by_text(HOSTILE)).to_be_visible()
    assert phone.locator("main img").count() == 1
    assert [url for url in loaded if not url.startswith((running.url, "blob:"))] == []


# -- a deployment ------------------------------------------------------------------------------------------

PAGE = "https://abc.execute-api.example.com/api/usage"
ISSUER = "https://issuer.example.com"
CLIENT = {
    "client_id": "pages-0",
    "authorize_uri": "https://login.example.com/authorize?tenant=7",
    "token_uri": "https://token.example.com/token",
}

ANYBODY = {"access-control-allow-origin": "*"}


class Provider:
    """An identity provider on other hosts, as a deployment has it."""

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {}
        self.posted: dict[str, list[str]] = {}
        self.access: dict[str, Any] = {"aud": "gonogo"}
        self.id: dict[str, Any] = {}

    def authorize(self, route: Route) -> None:
        """Send the browser back with a code."""
        self.asked = parse_qs(urlsplit(route.request.url).query)
        (there,), (state,) = self.asked["redirect_uri"], self.asked["state"]
        route.fulfill(status=302, headers={"location": f"{there}?code=c0de&state={state}"})

    def exchange(self, route: Route) -> None:
        """Give tokens, as whoever it is that just signed in."""
        self.posted = parse_qs(route.request.post_data or "")
        made = {"iss": ISSUER, "sub": "u-1", "exp": 1}
        id_token = {
            **made,
            "aud": "pages-0",
            "nonce": self.asked["nonce"][0],
            "email": "a@b.example",
            **self.id,
        }
        answer = {"access_token": token(**{**made, **self.access}), "id_token": token(**id_token)}
        route.fulfill(json=answer, headers=ANYBODY)


@pytest.fixture(name="deployed")
def deployed_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Page, Provider, Api]]:
    """Show the page below a stage, as a deployment with a provider elsewhere serves it."""
    environment = {
        "AWS_REGION": "us-east-1",
        "GONOGO_TABLE": "gonogo",
        "GONOGO_EPOCH": "1",
        "GONOGO_ISSUERS": json.dumps([{"issuer": ISSUER, "audience": "gonogo", "jwks_uri": f"{ISSUER}/k"}]),
        "GONOGO_SIGN_IN": json.dumps(CLIENT),
    }
    made = Gonogo(Settings.read(environment), now=lambda: datetime(2026, 11, 27, tzinfo=UTC))
    monkeypatch.setattr(bootstrap, "_installed", made)
    shown = signed_in.usage("/usage")
    headers = {name: str(value) for name, value in shown.headers.items()}
    provider, api = Provider(), Api()
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.route(f"{PAGE}*", lambda route: route.fulfill(body=shown.body, headers=headers))
        page.route("https://abc.execute-api.example.com/api/v1/usage/*", api.answer)
        page.route("https://login.example.com/**", provider.authorize)
        page.route("https://token.example.com/**", provider.exchange)
        page.route("https://elsewhere.example/", lambda route: route.fulfill(headers=ANYBODY))
        page.goto(PAGE)
        yield page, provider, api


def test_deployed_page_signs_in_elsewhere_and_stays_below_its_stage(
    deployed: tuple[Page, Provider, Api],
) -> None:
    """The provider is another site, the API is below a stage, and neither is known before."""
    page, provider, api = deployed
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Signed in as a@b.example")).to_be_visible()
    expect(page.get_by_role("img")).to_be_visible()
    assert page.url == PAGE
    asked = {name: value[0] for name, value in provider.asked.items()}
    posted = {name: value[0] for name, value in provider.posted.items()}
    secrets = [asked.pop(name) for name in ("state", "nonce")]
    challenge, verifier = asked.pop("code_challenge"), posted.pop("code_verifier")
    assert asked == {
        "tenant": "7",
        "response_type": "code",
        "scope": "openid",
        "client_id": "pages-0",
        "redirect_uri": PAGE,
        "code_challenge_method": "S256",
    }
    assert posted == {
        "grant_type": "authorization_code",
        "client_id": "pages-0",
        "redirect_uri": PAGE,
        "code": "c0de",
    }
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert challenge == hashed
    assert len({*secrets, verifier}) == 3
    assert all(len(one) == 43 for one in (*secrets, verifier))
    (bearer,) = api.bearers
    assert bearer == f"Bearer {token(iss=ISSUER, sub='u-1', exp=1, aud='gonogo')}"


def test_api_is_sent_the_token_that_is_for_it(deployed: tuple[Page, Provider, Api]) -> None:
    """Some providers' access tokens are for others: then the ID token must be for us, or there is none."""
    page, provider, api = deployed
    provider.access = {"aud": "https://graph.example.com"}
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("its audience is another")
    assert api.bearers == set()
    provider.id = {"aud": ["pages-0", "gonogo"]}
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("img")).to_be_visible()
    (bearer,) = api.bearers
    assert "pages-0" in base64.urlsafe_b64decode(bearer.split(".")[1] + "==").decode()
    reached = page.evaluate(
        "Promise.allSettled(['https://elsewhere.example/', 'https://token.example.com/'].map(url => fetch(url)))"
        ".then(all => all.map(one => one.status))"
    )
    assert reached == ["rejected", "fulfilled"]
