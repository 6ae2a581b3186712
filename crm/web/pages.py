"""Render a template, say one sentence on the next page, redirect after a POST."""

from __future__ import annotations

import base64
import binascii
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from markupsafe import Markup
from msgspec import Struct

from crm import languages
from crm.keys import MAC_SIZE, Keys
from crm.web import formats, gzipped
from crm.web.assets import asset
from crm.web.cookies import cookie, cookie_of
from crm.web.csrf import csrf_token
from crm.web.formats import Reading

Tone = Literal["yes", "wait", "stop", ""]

HTML = "text/html"
_FLASH = "flash"
_FLASH_SECONDS = 60
# A cookie holds 4 KB; a sentence is a sentence.
_FLASH_LENGTH = 500
_NOBODY = UUID(int=0)
# Whoever comes here works here or writes programs.
_ENGLISH_ONLY = ("/v1", "/staff", "/docs", "/problems")
# What the language of a page depends on, and how it is packed.
_VARY = "Accept-Encoding, Accept-Language, Cookie"


class Tab(Struct, frozen=True):
    """A link of the portal's tabs or the console's rooms; `count` stands beside it, if any."""

    href: str
    label: str
    count: int | None = None


class Flash(Struct, frozen=True):
    """A sentence that the next page says once."""

    text: str
    tone: Tone = "yes"


def csrf_field() -> Markup:
    """Make the hidden field that every form of a signed-in reader carries."""
    token = formats.reading.get().csrf
    return (
        Markup('<input type="hidden" name="csrf" value="{}">').format(token) if token else Markup()
    )


def _environment() -> Environment:
    environment = Environment(
        # The template's name is its path under crm/.
        loader=FileSystemLoader(Path(__file__).resolve().parent.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    languages.teach(environment)
    environment.filters.update(formats.FILTERS)
    environment.globals.update(asset=asset, csrf_field=csrf_field)
    return environment


environment = _environment()


def page(
    template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> Response[Any]:
    """Answer with a page; a value `None` for the layout comes from `request.state`.

    Layouts find `business`, `who`, `me`, `csrf` and the tabs there, so a handler passes only what
    its own page shows.
    """
    return _Page(template, values, status_code=status, headers=headers)


def redirect(path: str, *, say: str = "", tone: Tone = "yes") -> Response[Any]:
    """Lead to `path` after a POST (303), where the page says `say` once.

    Letters that no header takes are encoded in it; what is encoded already stays.
    """
    if not path.startswith("/") or path.startswith(("//", "/\\")):
        message = "a redirect stays on this site"
        raise ValueError(message)
    target = quote(path, safe=string.punctuation, errors="replace")
    return _Redirect(target, Flash(say[:_FLASH_LENGTH], tone) if say else None)


def in_english(path: str) -> bool:
    """Say whether what is answered at a path is in English, whoever asks."""
    return any(path == each or path.startswith(f"{each}/") for each in _ENGLISH_ONLY)


def fragment(template: str, values: dict[str, Any], seen: Reading | None = None) -> str:
    """Render without a request, in the language that is spoken: for pages written to a file."""
    with formats.read_by(seen or Reading(languages.locale_for(languages.language()))):
        return environment.get_template(template).render(values)


class _Page(Response[Any]):
    """A page, rendered when the request is at hand."""

    def __init__(
        self,
        template: str,
        values: dict[str, Any],
        *,
        status_code: int,
        headers: dict[str, str] | None,
    ) -> None:
        super().__init__(None, status_code=status_code, headers=headers, media_type=HTML)
        self.template = template
        self.values = values

    def to_asgi_response(
        self, app: Any, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        flash = _read_flash(request)
        values = {**_surroundings(request), "flash": flash, **self.values}
        self.content = fragment(self.template, values, _seen(request, values)).encode()
        if gzipped.taken(request) and gzipped.worth(self.content):
            self.content = gzipped.packed(self.content)
            self.headers["content-encoding"] = "gzip"
        self.headers.setdefault("content-language", languages.language())
        self.headers.setdefault("vary", _VARY)
        if flash is not None:
            self.cookies.append(cookie(request, _FLASH, "", 0))
        return super().to_asgi_response(app, request, **options)


class _Redirect(Response[Any]):
    """A redirect, whose sentence is signed when the request is at hand."""

    def __init__(self, path: str, flash: Flash | None) -> None:
        super().__init__(b"", status_code=303, headers={"location": path}, media_type=HTML)
        self.flash = flash

    def to_asgi_response(
        self, app: Any, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        if self.flash is not None:
            sealed = _seal_flash(request, self.flash)
            self.cookies.append(cookie(request, _FLASH, sealed, _FLASH_SECONDS))
        return super().to_asgi_response(app, request, **options)


def _surroundings(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Find what every layout needs: set by the host, the guards and the app, never by web."""
    state = request.scope["state"]
    secret = state.get("session_secret")
    return {
        "request_path": request.scope["path"],
        "request_target": _target(request),
        "business": state.get("business"),
        "me": state.get("me"),
        "who": state.get("who"),
        "csrf": csrf_token(secret) if secret else "",
        "tabs": _tabs(request, "tabs"),
        "rooms": _tabs(request, "rooms"),
    }


def _tabs(request: Request[Any, Any, Any], name: str) -> Sequence[Tab]:
    found: Sequence[Tab] | None = request.scope["state"].get(name)
    if found is None:
        found = request.app.state.get(name, ())
    said = languages.gettext
    return [Tab(each.href, said(each.label), each.count) for each in found or ()]


def _target(request: Request[Any, Any, Any]) -> str:
    """Where this page is, with its query, if it can be had in another language.

    What answers a POST is nowhere: to lead back there would lose what it says, or find nothing.
    """
    if in_english(request.scope["path"]) or request.method not in ("GET", "HEAD"):
        return ""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.url.path}?{query}" if query else request.url.path


def _seen(request: Request[Any, Any, Any], values: dict[str, Any]) -> Reading:
    business = values["business"]
    zone = request.scope["state"].get("zone") or getattr(business, "time_zone", "") or "UTC"
    wanted = (getattr(values["me"], "locale", ""), getattr(business, "locale", ""))
    return Reading(
        locale=languages.locale_for(languages.language(), *wanted),
        zone=zone,
        csrf=values["csrf"],
    )


def _seal_flash(request: Request[Any, Any, Any], flash: Flash) -> str:
    data = msgspec.msgpack.encode(flash)
    signature = _keys(request).sign(_business_id(request), _FLASH, data)
    return base64.urlsafe_b64encode(signature + data).decode().rstrip("=")


def _read_flash(request: Request[Any, Any, Any]) -> Flash | None:
    text = cookie_of(request, _FLASH)
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, data = raw[: MAC_SIZE + 1], raw[MAC_SIZE + 1 :]
        if _keys(request).verified(_business_id(request), _FLASH, data, signature):
            return msgspec.msgpack.decode(data, type=Flash)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    return None


def _keys(request: Request[Any, Any, Any]) -> Keys:
    keys: Keys = request.app.state.database.keys
    return keys


def _business_id(request: Request[Any, Any, Any]) -> UUID:
    found: UUID = request.scope["state"].get("business_id") or _NOBODY
    return found
