"""The visitors that need no browser: servers, proxies, previews, rewriters and probers, each a few requests."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

import httpx

from .markup import Field, Form, Page

PREVIEWS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "WhatsApp/2.23.20.0",
    "TelegramBot (like TwitterBot)",
    "Twitterbot/1.0",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
)
IMAGE_PROXIES = (
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Outlook-iOS/2.0",
)
PURPOSES: tuple[dict[str, str], ...] = (
    {"Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"},
    {"X-Moz": "prefetch"},
    {"X-Purpose": "preview"},
)
WORDS = ("test@example.com", "test", "yes", "ok", "approve", "accept", "confirm", "1", "true", "on")
"""What robots write into fields."""
DEEPEST = 3
MOST = 150
"""Requests of one visitor at most."""
FOUND_ELSEWHERE = 400


class Enough(Exception):  # noqa: N818 - it is no fault
    """The visitor has sent as much as it may."""


class Visit:
    """One visitor at one link: what it sends goes to the link's own host only, and is counted."""

    def __init__(self, client: httpx.Client, link: str) -> None:
        self.link, (self.bare, self.code) = link, urldefrag(link)
        self.did: Counter[str] = Counter()
        self._client = client

    def send(self, method: str, url: str, **more: Any) -> httpx.Response | None:
        """Send one request, following redirects; None where it leads to another host, or nothing answers."""
        if urlsplit(url)[:2] != urlsplit(self.bare)[:2]:
            return None
        if self.did.total() >= MOST:
            raise Enough
        self.did[method] += 1
        try:
            answer = self._client.request(method, url, follow_redirects=False, **more)
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
        if answer.is_redirect:
            there = urljoin(url, answer.headers["location"])
            keeps = method if answer.status_code in (307, 308) or method == "HEAD" else "GET"
            return self.send(keeps, there, **(more if keeps == method else {}))
        return answer

    def get(self, url: str | None = None, **headers: str) -> httpx.Response | None:
        """Get a page."""
        return self.send("GET", url or self.bare, headers=headers)

    def page(self, answer: httpx.Response | None) -> Page:
        """Return the page that was answered; an empty one where it is none."""
        is_html = answer is not None and "html" in answer.headers.get("content-type", "")
        return Page(answer.text if answer is not None and is_html else "")


def head(visit: Visit) -> None:
    """Ask for the head alone, thrice."""
    for _ in range(3):
        visit.send("HEAD", visit.bare)


def get_often(visit: Visit) -> None:
    """Get it twenty times, and keep the cookies."""
    for _ in range(20):
        visit.get()


def prefetch(visit: Visit) -> None:
    """Get it before anybody asked, and say so."""
    for purpose in PURPOSES:
        visit.get(**purpose)


def preview(visit: Visit) -> None:
    """Get it and its pictures for a preview in a chat."""
    for agent in PREVIEWS:
        page = visit.page(visit.get(**{"User-Agent": agent, "Range": "bytes=0-524287"}))
        for url in page.loads:
            visit.get(urljoin(visit.bare, url), **{"User-Agent": agent})


def decode(visit: Visit) -> None:
    """Get what is left of the link once a rewriter has decoded it, once, twice, or from HTML."""
    for url in (unquote(visit.link), unquote(unquote(visit.link)), html.unescape(visit.link)):
        visit.get(urldefrag(url)[0])
        visit.get(urldefrag(url)[0] + "?" + quote(urldefrag(url)[1]))


def encode(visit: Visit) -> None:
    """Get what a rewriter makes of it that encodes too much, or takes the full stop for a part of it."""
    once = visit.link.replace("#", "%23")
    for url in (once, once.replace("%", "%25"), once.lower(), once.replace("_", "%5F"), once + "%3D"):
        visit.get(url)
    for tail in (".", ",", ")", "%3E", "%20", "%22"):
        visit.get(once + tail)
        visit.get(visit.bare + tail)


def strip(visit: Visit) -> None:
    """Get it without its fragment, its query, or its last slash."""
    for url in (visit.bare, visit.bare.partition("?")[0], visit.bare.rstrip("/"), visit.bare + "/"):
        visit.get(url)


def move(visit: Visit) -> None:
    """Get it with the fragment moved into the query or the path, under the names that it may have there."""
    mark = "&" if "?" in visit.bare else "?"
    visit.get(f"{visit.bare}{mark}{visit.code}")
    for name in ("code", "token", "t", "id", "fragment", "_escaped_fragment_", "data", "u"):
        visit.get(f"{visit.bare}{mark}{name}={visit.code}")
    visit.get(f"{visit.bare.rstrip('/')}/{visit.code}")


def crawl(visit: Visit) -> None:
    """Get it, all that it loads, and every page of the same host that it leads to, two steps far."""
    seen: set[str] = set()
    ahead = [visit.bare]
    for _ in range(DEEPEST):
        here, ahead = ahead, []
        for url in here:
            if urldefrag(url)[0] in seen:
                continue
            seen.add(urldefrag(url)[0])
            page = visit.page(visit.get(url))
            ahead += [urljoin(url, one) for one in (*page.loads, *page.links)]
            ahead += [urljoin(url, form.action) for form in page.forms]


def fetch_images(visit: Visit) -> None:
    """Get it as if it were a picture, and the pictures on it."""
    for agent in IMAGE_PROXIES:
        asked = {"User-Agent": agent, "Accept": "image/avif,image/webp,image/*,*/*;q=0.8"}
        for url in visit.page(visit.get(**asked)).loads:
            visit.get(urljoin(visit.bare, url), **asked)


def break_off(visit: Visit) -> None:
    """Get a part of it, with a wrong length, a stale copy, or hang up after the head."""
    visit.get(Range="bytes=0-0")
    visit.get(Range="bytes=-1")
    visit.get(**{"If-None-Match": "*", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"})
    visit.get(Connection="close", **{"Accept-Encoding": "identity"})
    visit.get(Cookie="session=1; consent=yes", Authorization="Bearer x")


def probe(visit: Visit) -> None:
    """Send every method, with nothing, and with the code as JSON and as a form."""
    for method in ("OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        visit.send(method, visit.bare)
    for name in ("code", "token"):
        for method in ("POST", "PUT"):
            visit.send(method, visit.bare, json={name: visit.code})
            visit.send(method, visit.bare, data={name: visit.code})
            visit.send(method, visit.bare, files={name: (None, visit.code)})
    visit.send("POST", visit.bare, content=visit.code)
    override = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}
    visit.get(**override)


Fill = Callable[[Field], str]


def _as_it_stands(field: Field) -> str:
    return field.value


def submit(visit: Visit, fill: Fill) -> None:
    """Submit every form, with every button, and the forms of the pages that answer."""
    _submit_forms(visit, visit.bare, visit.page(visit.get()), fill, set(), DEEPEST)


def _submit_forms(visit: Visit, url: str, page: Page, fill: Fill, seen: set[object], deeper: int) -> None:
    for form in page.forms:
        for sent in _sent(form, fill):
            action = urljoin(url, form.action)
            key = (form.method, action, tuple(sorted(sent.items())))
            if key in seen:
                continue
            seen.add(key)
            how: dict[str, Any] = {"data": sent} if form.method == "POST" else {"params": sent}
            answered = visit.page(visit.send(form.method, action, **how))
            if deeper:
                _submit_forms(visit, action, answered, fill, seen, deeper - 1)


def _sent(form: Form, fill: Fill) -> Iterator[dict[str, str]]:
    """Yield what a form sends, once as Enter sends it and once for each of its buttons and choices."""
    named = [field for field in form.fields if field.name]
    base = {field.name: fill(field) if field.is_typed else field.value for field in named}
    yield base
    for name, value in form.buttons:
        if name:
            yield {**base, name: value}
    for field in named:
        choices = field.options or ((field.value,) if field.kind == "radio" else ())
        for choice in choices:
            yield {**base, field.name: choice}


def submit_empty(visit: Visit) -> None:
    """Submit every form as it stands, with each of its buttons."""
    submit(visit, _as_it_stands)


def submit_code(visit: Visit) -> None:
    """Submit every form with the code of the link in every field."""
    submit(visit, lambda _field: visit.code)


def submit_code_first(visit: Visit) -> None:
    """Give the code where it is asked for, and then press every button of the page that answers."""
    first = True

    def fill(field: Field) -> str:
        nonlocal first
        if first and not field.value:
            first = False
            return visit.code
        return field.value

    submit(visit, fill)


def submit_words(visit: Visit) -> None:
    """Give the code where it is asked for, and write into all other fields what robots write."""
    for word in WORDS:
        page = visit.page(visit.get())
        for form in page.forms:
            coded = {field.name: visit.code if field.is_typed else field.value for field in form.fields}
            answered = visit.send(form.method, urljoin(visit.bare, form.action), data=coded)
            words = lambda field, word=word: field.value or word  # noqa: E731
            _submit_forms(visit, visit.bare, visit.page(answered), words, set(), 1)


class Visitor(NamedTuple):
    """A kind of visitor: its name, and what it does."""

    name: str
    visit: Callable[[Visit], None]

    @property
    def does(self) -> str:
        """What it does, in a sentence."""
        return (self.visit.__doc__ or "").strip()


VISITORS = (
    Visitor("mail server", head),
    Visitor("link checker", get_often),
    Visitor("prefetcher", prefetch),
    Visitor("chat previews", preview),
    Visitor("rewriter, decoding", decode),
    Visitor("rewriter, encoding", encode),
    Visitor("fragment stripper", strip),
    Visitor("fragment mover", move),
    Visitor("crawler", crawl),
    Visitor("image proxies", fetch_images),
    Visitor("impatient reader", break_off),
    Visitor("prober", probe),
    Visitor("form sender, empty", submit_empty),
    Visitor("form sender, code", submit_code),
    Visitor("button presser", submit_code_first),
    Visitor("form filler", submit_words),
)
