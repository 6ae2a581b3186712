"""Security headers on every answer, also where no route matched (OWASP ASVS V3, V14).

A hook before sending, not a middleware: Litestar answers 404 and 405 outside of middlewares.
"""

from __future__ import annotations

from typing import Any

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

_CSP = (
    "default-src 'none'; object-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# htmx asks with fetch, and shows a mail in a frame.
_CSP_CONSOLE = f"{_CSP}; script-src 'self'; connect-src 'self'; frame-src 'self'"
# A mail brings its own styles and pictures; the sandbox keeps it from everything else.
_CSP_MAIL = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: https:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups"
)
# A customer's own mail, read again: a picture of somebody else's would tell him that she looks.
_CSP_MAIL_AGAIN = _CSP_MAIL.replace(" https:", "")
_CONSOLE = "/staff"
_POWERS = (
    "accelerometer",
    "camera",
    "clipboard-read",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "identity-credentials-get",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "serial",
    "usb",
    "browsing-topics",
)
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": ", ".join(f"{power}=()" for power in _POWERS),
}
# What a handler may say otherwise: a public page is indexed, an asset is kept.
_UNLESS_SAID = {"cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}
_HSTS = "max-age=63072000; includeSubDomains"

# The headers of an answer that is a mail, shown in a frame of the console.
MAIL_PREVIEW = {"content-security-policy": _CSP_MAIL}
# The same for a frame of a customer's page, and the headers of that page.
MAIL_AGAIN = {"content-security-policy": _CSP_MAIL_AGAIN}
WITH_FRAME = {"content-security-policy": f"{_CSP}; frame-src 'self'"}
# The headers of a file that somebody uploaded: whatever is in it, no page of ours runs it.
DOWNLOAD = {"content-security-policy": "default-src 'none'; sandbox"}
# The headers of a page that search engines may show: sign-up, the archive of issues.
PUBLIC = {"x-robots-tag": "all", "cache-control": "no-cache"}


def secured(*, https: bool) -> BeforeMessageSendHookHandler:
    """Make the hook for `Litestar(before_send=[…])`; `https` says whether browsers reach us so."""
    pages, console = (_written(policy, https=https) for policy in (_CSP, _CSP_CONSOLE))

    async def secure(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers: list[Any] = list(message["headers"])
        present = {bytes(name).lower() for name, _ in headers}
        path = scope["path"]
        wanted = console if path == _CONSOLE or path.startswith(f"{_CONSOLE}/") else pages
        headers += [each for each in wanted if each[0] not in present]
        # Left by the guard that counted this request.
        for name, value in scope.get("state", {}).get("rate_limit_headers", {}).items():
            if name.encode() not in present:
                headers.append((name.encode(), value.encode()))
        message["headers"] = headers

    return secure


def _written(policy: str, *, https: bool) -> tuple[tuple[bytes, bytes], ...]:
    wanted = {**_ALWAYS, **_UNLESS_SAID, "content-security-policy": policy}
    if https:
        wanted["strict-transport-security"] = _HSTS
    return tuple((name.encode(), value.encode()) for name, value in wanted.items())
