"""How pages and newsletters look, for staff: chosen, measured and shown before it is kept."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from crm import businesses
from crm.businesses import Business, logo, theme_of
from crm.businesses.image import LARGEST, named
from crm.businesses.theme import FACES, Theme, corrected, ink_on, readings
from crm.campaigns.attached import LOGO
from crm.campaigns.composing import letterhead
from crm.campaigns.render import Draft, compile_message
from crm.campaigns.screen import SCHEMES, seen
from crm.db import Db, ReadDb
from crm.errors import Invalid
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.headers import DOWNLOAD, MAIL_PREVIEW
from crm.web.pages import HTML, page, redirect

SEE = [may(Right.see_campaigns)]
CHANGE = [may(Right.change_business)]

_PATH = "/staff/theme"
# What is a little too large is told so by name.
_UPLOAD = 4 * LARGEST
_COLOURS = ("band", "band_dark", "link", "link_dark")
_SAMPLE = """# Rye on Saturdays

Dear {{ first_name | default("reader") }}, from next week there is **rye bread** on
[Saturdays](https://example.com/).

## Opening hours

| Day | Opens |
|---|---|
| Saturday | 7:00 |

> The best loaf in town.

- small
- large
"""


@get("/theme", guards=SEE)
async def get_theme(db: NamedDependency[ReadDb], who: NamedDependency[Member]) -> Response[Any]:
    """Show how pages and newsletters look now."""
    theme = await theme_of(db)
    return await _page(db, _filled(theme), theme, who)


@post("/theme", guards=CHANGE)
async def post_theme(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Keep a look, or only show it; what could not be read is refused."""
    form = await read_form(request)
    theme = _read(form)
    if theme is None:
        return await _page(db, form, await theme_of(db), who, status=422)
    if form.typed("then") == "look":
        return await _page(db, form, theme, who)
    if form.typed("then") == "correct":
        better = corrected(theme)
        return await _page(db, _filled(better), better, who)
    try:
        await businesses.change_theme(db, who.actor, theme)
    except Invalid as refusal:
        form.take(refusal)
        return await _page(db, form, theme, who, status=422)
    return redirect(_PATH, say="Saved. Pages look like this now, and the next campaign does.")


@get("/theme/logo", guards=SEE)
async def get_logo(db: NamedDependency[ReadDb]) -> Response[bytes]:
    """Show the logo that is kept."""
    image = await logo.get(db)
    return Response(image.content, media_type=image.media_type, headers=DOWNLOAD)


@post("/theme/logo", guards=CHANGE, request_max_body_size=_UPLOAD)
async def post_logo(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Put a picture on the band, in place of the name or of the picture before."""
    form = await read_form(request)
    upload = form.file("logo")
    if upload is not None:
        try:
            await logo.keep(db, who.actor, named(upload.filename), await upload.read())
            return redirect(_PATH, say="Saved. Pages show this logo now, and mails from now on.")
        except Invalid as refusal:
            form.wrong("logo", refusal.message)
    theme = await theme_of(db)
    form.values |= _filled(theme).values
    return await _page(db, form, theme, who, status=422)


@post("/theme/logo/removal", guards=CHANGE)
async def post_logo_removal(db: NamedDependency[Db], who: NamedDependency[Member]) -> Response[Any]:
    """Let the name stand on the band again."""
    await logo.take_out(db, who.actor)
    return redirect(_PATH, say="Taken out. Pages show your name now, and mails from now on.")


@get("/theme/mail", guards=SEE)
async def get_sample(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    scheme: FromQuery[Literal["", "light", "dark"]] = "",
) -> Response[str]:
    """Answer with an invented mail in a look that is kept or only tried."""
    tried = _read(Form.of(**dict(request.query_params)))
    head = letterhead(business, tried or await theme_of(db), await logo.logo_of(db))
    draft = Draft(
        subject="Rye on Saturdays",
        source=_SAMPLE,
        kind="markdown",
        purpose=business.name,
        list_id=f"sample.{business.host}",
    )
    # A business without postal address sees its look too.
    whole = msgspec.structs.replace(head, postal_address=head.postal_address.strip() or "…")
    message = compile_message(draft, whole)
    html = message.on_screen(message.preview({"first_name": "Nora"}).html)
    return Response(seen(html, scheme), media_type=HTML, headers=MAIL_PREVIEW)


async def _page(
    db: ReadDb, form: Form, theme: Theme, who: Member, *, status: int = 200
) -> Response[Any]:
    query = urlencode(msgspec.to_builtins(theme))
    kept = await logo.logo_of(db)
    return page(
        "campaigns/pages/theme.html",
        status=status,
        form=form,
        theme=theme,
        ink_on=ink_on,
        measured=readings(theme),
        samples=[(each, f"{_PATH}/mail?{query}&scheme={each}") for each in SCHEMES],
        logo=kept,
        shown=kept.extent.within(*LOGO) if kept and kept.extent else None,
        largest=logo.LARGEST // 1000,
        may_change=who.may(Right.change_business),
    )


def _filled(theme: Theme) -> Form:
    return Form.of(**{name: str(value) for name, value in msgspec.to_builtins(theme).items()})


def _read(form: Form) -> Theme | None:
    colours = {name: form.text(name, max=7).lower() for name in _COLOURS}
    face = form.choice("face", tuple(FACES))
    corner = form.choice("corner", ("0", "8", "16"))
    foot = form.text("foot", required=False, max=300)
    for name, value in colours.items():
        if value and not _is_colour(value):
            form.wrong(name, "A colour looks like #24466b.")
    if form.problems:
        return None
    given = {**colours, "face": face, "corner": int(corner or 0), "foot": foot}
    return msgspec.convert(given, Theme)


def _is_colour(value: str) -> bool:
    return len(value) == len("#rrggbb") and value[0] == "#" and not set(value[1:]) - _HEX


_HEX = frozenset("0123456789abcdef")

handlers = [get_theme, post_theme, get_logo, post_logo, post_logo_removal, get_sample]
