"""How newsletters look, for staff: chosen, measured and shown before it is kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import campaigns
from crm.businesses import Business
from crm.campaigns.composing import letterhead, theme_of
from crm.campaigns.render import Draft, compile_message
from crm.campaigns.theme import FACES, Theme, readings
from crm.db import Db, ReadDb
from crm.errors import Invalid
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.headers import MAIL_PREVIEW
from crm.web.pages import HTML, page, redirect

SEE = [may(Right.see_campaigns)]
CHANGE = [may(Right.change_business)]

_PATH = "/staff/theme"
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
    """Show how newsletters look now."""
    theme = await theme_of(db)
    return _page(_filled(theme), theme, who)


@post("/theme", guards=CHANGE)
async def post_theme(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Keep a look, or only show it; what could not be read is refused."""
    form = await read_form(request)
    theme = _read(form)
    if theme is None:
        return _page(form, await theme_of(db), who, status=422)
    if form.typed("then") == "look":
        return _page(form, theme, who)
    try:
        await campaigns.change_theme(db, who.actor, theme)
    except Invalid as refusal:
        form.take(refusal)
        return _page(form, theme, who, status=422)
    return redirect(_PATH, say="Saved. The next campaign that starts looks like this.")


@get("/theme/mail", guards=SEE)
async def get_sample(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
) -> Response[str]:
    """Answer with an invented mail in a look that is kept or only tried."""
    tried = _read(Form.of(**dict(request.query_params)))
    head = letterhead(business, tried or await theme_of(db))
    draft = Draft(
        subject="Rye on Saturdays",
        source=_SAMPLE,
        kind="markdown",
        purpose=business.name,
        list_id=f"sample.{business.host}",
    )
    # A business without postal address sees its look too.
    whole = msgspec.structs.replace(head, postal_address=head.postal_address.strip() or "…")
    shown = compile_message(draft, whole).preview({"first_name": "Nora"})
    return Response(shown.html, media_type=HTML, headers=MAIL_PREVIEW)


def _page(form: Form, theme: Theme, who: Member, *, status: int = 200) -> Response[Any]:
    return page(
        "campaigns/pages/theme.html",
        status=status,
        form=form,
        measured=readings(theme),
        sample=f"{_PATH}/mail?{urlencode(msgspec.to_builtins(theme))}",
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

handlers = [get_theme, post_theme, get_sample]
