"""The headers that every answer carries: nothing is kept, framed, sniffed, or loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

_CLOSED = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

_COMMON = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _policy(directives: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {**_COMMON, "Content-Security-Policy": _policy(_CLOSED)}
)
"""What every answer carries that is no page."""


def from_elsewhere(headers: Mapping[str, str], public_url: str) -> bool:
    """Tell whether a browser sends this form from a page that is none of ours; `headers` has lower-case names.

    Our own form is `same-origin`; `none` is a person's own doing, such as a reload (Fetch Metadata, 2.1). Our
    pages send no referrer, and then a browser says `Origin: null` (Fetch, 3.2), which says nothing: it counts
    only beside a `Sec-Fetch-Site` that does. Who sends neither is no browser that could be led here.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return True
    if origin is None:
        return False
    if origin == "null":
        return site is None
    sender = urlsplit(origin).netloc
    return not sender or sender not in (headers.get("host"), urlsplit(public_url).netloc)


def source_of(request: Any) -> str | None:
    """Return the address that a request came from, as API Gateway saw it: no header can say another."""
    found: str | None = request.context.get("identity", {}).get("sourceIp")
    return found


def page_headers(*, style: str, script: str | None = None) -> dict[str, str]:
    """Return the headers of a page with this inline style and at most this inline script, and no other."""
    allowed = {**_CLOSED, "form-action": "'self'", "style-src": _hash(style)}
    if script is not None:
        allowed["script-src"] = _hash(script)
    return _of_a_page(allowed)


def signed_in_headers(*, style: str, script: str, token_uri: str) -> dict[str, str]:
    """Return the headers of a page that signs in: its script may reach our API and `token_uri`, nobody else.

    It shows pictures that its script made (an `img` runs no script of an SVG), and has no form.
    """
    issuer = urlsplit(token_uri)
    reached = f"'self' {issuer.scheme}://{issuer.netloc}" if issuer.netloc else "'self'"
    return _of_a_page(
        {
            **_CLOSED,
            "connect-src": reached,
            "img-src": "blob:",
            "script-src": _hash(script),
            "style-src": _hash(style),
        }
    )


def _of_a_page(allowed: Mapping[str, str]) -> dict[str, str]:
    return {
        **_COMMON,
        "Content-Security-Policy": _policy(allowed),
        "Content-Type": "text/html; charset=utf-8",
    }


def _hash(text: str) -> str:
    """Return the source expression of an inline text (CSP Level 3, section 2.3.1, `hash-source`)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
