"""How often we write: the customer's limit, her pause and her language, at /me/rhythm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from msgspec import UNSET, UnsetType

from crm import campaigns, consent, customers, rhythm
from crm.businesses import Business
from crm.campaigns import Offer
from crm.campaigns.clock import instant
from crm.campaigns.render import neutral
from crm.consent import EMAIL
from crm.customers import Changes, Customer
from crm.customers.language import languages
from crm.db import Db, ReadDb
from crm.errors import Invalid
from crm.events import Actor
from crm.languages import chosen, gettext, language, speak
from crm.rhythm import Changed, Rhythm
from crm.rhythm.model import BUDGETS, PAUSES, day
from crm.web.forms import Form, read_form, shown_as, touched
from crm.web.pages import page, redirect

HERE = "/me/rhythm"
_BODY = 4 * 1024
# What a form says for: no pause, the end it has already, another end.
_NONE, _KEPT, _UNTIL = "none", "kept", "until"
# And of a purpose that offers a digest.
_SINGLY, _WEEKLY = "singly", "weekly"


@get("/rhythm")
async def get_rhythm(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Show how much mail she wants, and what came of it this week."""
    held = _held(me, await rhythm.of(db, me.id), await campaigns.digests_offered(db, me.id), db.now)
    shown = {shown_as(name): said for name, said in held.items()}
    return await _shown(request, db, me, business, Form.of(**held, **shown))


@post("/rhythm", request_max_body_size=_BODY, opt={"beside": True})
async def post_rhythm(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Keep what she changed of her limit, her pause, her digests and her language.

    What was shown and is sent back stays as it is now, also where another tab has changed it.
    """
    form = await read_form(request)
    codes = [code for code, _ in languages(me.locale)]
    locale = form.choice("locale", codes, required=False) or ""
    kept, offered = await rhythm.of(db, me.id), await campaigns.digests_offered(db, me.id)
    held = _held(me, kept, offered, db.now)
    changed = _read(form, kept, db.now, _zone(me, business))
    weekly = {
        each.purpose_id: form.choice(field, (_SINGLY, _WEEKLY)) == _WEEKLY
        for each in offered
        if form.typed(field := _field(each.purpose_id)) and touched(form, field, held[field])
    }
    if not form.problems:
        try:
            tongue = touched(form, "locale", held["locale"])
            async with db.together():
                if tongue:
                    by = Actor.customer(me.id)
                    await customers.change(db, by, me.id, Changes(locale=locale))
                await rhythm.change(db, me.id, changed)
                for purpose_id, each_week in weekly.items():
                    await rhythm.choose_digest(db, me.id, purpose_id, weekly=each_week)
            if tongue:
                speak(chosen(locale) or language())
            return redirect(HERE, say=gettext("Kept. It counts from now on."))
        except Invalid as refusal:
            form.take(refusal)
    return await _shown(request, db, me, business, form, status=422)


@post("/rhythm/resumption", request_max_body_size=_BODY, opt={"beside": True})
async def post_resumption(db: NamedDependency[Db], me: NamedDependency[Customer]) -> Response[Any]:
    """End her pause at once."""
    await rhythm.resume(db, me.id)
    return redirect(HERE, say=gettext("The pause is over, from the moment you pressed."))


def _read(form: Form, held: Rhythm, now: datetime, zone: str) -> Changed:
    """Read what she changed; what is wrong with it is in the form."""
    typed = form.choice("budget", ["0", *map(str, BUDGETS)])
    budget = int(typed or 0) or None if touched(form, "budget", str(held.budget or 0)) else UNSET
    known = [_NONE, _UNTIL, *map(str, PAUSES)]
    pause_now = _KEPT if held.paused(now) else _NONE
    was_paused = _KEPT in (pause_now, form.typed(shown_as("pause")))
    pause = form.choice("pause", [*known, _KEPT] if was_paused else known)
    until: datetime | UnsetType | None = None
    if pause == _KEPT or (pause and not touched(form, "pause", pause_now)):
        until = UNSET
    elif pause == _UNTIL:
        until = _until(form, now, zone)
    elif pause and pause != _NONE:
        until = _ends(now, int(pause), zone)
    if pause and pause != _UNTIL and form.typed("until"):
        # Else a pause that she believes in would begin nowhere.
        form.wrong("pause", gettext("You named a day. Choose “Until another day”, or empty it."))
    return Changed(budget, until)


def _until(form: Form, now: datetime, zone: str) -> datetime | None:
    """Read a day to come: a pause ends when it begins, by her clock."""
    chosen = form.parsed("until", day, max=40)
    if chosen is None:
        return None
    until = instant(datetime(chosen.year, chosen.month, chosen.day), zone)  # noqa: DTZ001
    if until <= now:
        form.wrong("until", gettext("This day has begun already. Choose a later one."))
        return None
    return until


def _ends(now: datetime, days: int, zone: str) -> datetime:
    last = now.astimezone(ZoneInfo(zone)) + timedelta(days=days)
    return instant(datetime(last.year, last.month, last.day), zone)  # noqa: DTZ001


def _held(me: Customer, held: Rhythm, offered: list[Offer], now: datetime) -> dict[str, str]:
    """Return what the form shows, by the names of its fields."""
    digests = {_field(each.purpose_id): _WEEKLY if each.chosen else _SINGLY for each in offered}
    return {
        "budget": str(held.budget or 0),
        "pause": _KEPT if held.paused(now) else _NONE,
        "locale": me.locale,
        **digests,
    }


def _field(purpose_id: UUID) -> str:
    return f"digest-{purpose_id}"


async def _singly(
    db: ReadDb, business: Business, customer_id: UUID, offered: set[UUID]
) -> list[str]:
    """Name what she gets by mail and no digest is offered of."""
    lets = business.soft_opt_in
    states = await consent.states(db, customer_id)
    on = {each.purpose_id for each in states if each.allows(db.now, soft_opt_in=lets)} - offered
    return [
        each.name for each in await consent.purposes(db) if each.id in on and each.channel == EMAIL
    ]


def _zone(me: Customer, business: Business) -> str:
    return me.time_zone or business.time_zone


async def _shown(
    request: Request[Any, Any, Any],
    db: ReadDb,
    me: Customer,
    business: Business,
    form: Form,
    *,
    status: int = 200,
) -> Response[Any]:
    zone = _zone(me, business)
    # Her days begin by her clock.
    request.scope["state"]["zone"] = zone
    told = await rhythm.attention(db, me.id)
    return page(
        "rhythm/pages/rhythm.html",
        status=status,
        form=form,
        neutral=neutral,
        told=told,
        singly=await _singly(db, business, me.id, {each.purpose_id for each in told.digests}),
        at=db.now,
        budgets=BUDGETS,
        pauses=[(days, _ends(db.now, days, zone)) for days in PAUSES],
        languages=languages(me.locale),
    )


handlers = [get_rhythm, post_rhythm, post_resumption]
