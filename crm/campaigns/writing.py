"""Writing a draft, for staff: its text, from the keyboard or a file, and its pictures."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import campaigns, consent, segments
from crm.businesses.image import ALL_TOGETHER, LARGEST, Image, named, sniffed
from crm.campaigns import Campaign, DraftChanged, Newsletter, State, images, sheet
from crm.db import Db, ReadDb
from crm.errors import Conflict, Invalid
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.headers import DOWNLOAD
from crm.web.pages import page, redirect

SEE = [may(Right.see_campaigns)]
WRITE = [may(Right.write_campaigns)]

LIST = "/staff/campaigns"
# A text of a megabyte; most letters of the world take three bytes, and nine in a plain form.
_TEXT = 10 * 1024 * 1024
_TYPED = {"right": Right.write_campaigns, "typed": _TEXT}


@get("/campaigns/new", guards=WRITE)
async def get_new_campaign(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show an empty sheet."""
    return await _sheet(db, Form.of(format="markdown"))


@post("/campaigns", opt=_TYPED, request_max_body_size=_TEXT)
async def post_campaign(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Keep a new draft, from what was typed or from a file."""
    form = await read_form(request)
    taken = await sheet.taken(form)
    image = await _image(form)
    new = await sheet.read(db, form)
    if new is None:
        return await _sheet(db, form, status=422)
    campaign = await campaigns.draft(db, who.actor, new)
    await campaigns.expire_after(db, campaign.id, sheet.expires_hours(form))
    if image is not None:
        await images.attach(db, who.actor, campaign.id, image.name, image.content)
    return _saved(form, campaign.id, "Kept as a draft." + _noted(taken))


@post("/campaigns/check", opt=_TYPED, status_code=200, request_max_body_size=_TEXT)
async def post_check(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    draft: FromQuery[UUID | None] = None,
) -> Response[Any]:
    """Say what is wrong with what is typed so far, on which draft; nothing is kept."""
    new = await sheet.read(db, await read_form(request))
    checked = await campaigns.check(db, new, images_of=draft) if new else None
    return page("campaigns/pages/check.html", checked=checked)


@get("/campaigns/{id:uuid}/text", guards=WRITE)
async def get_text(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> Response[Any]:
    """Show a draft to write on."""
    campaign = await campaigns.get(db, id)
    if campaign.state is not State.draft:
        return redirect(f"{LIST}/{id}")
    form = sheet.filled(campaign, await campaigns.course(db, id))
    return await _sheet(db, form, campaign=campaign)


@post("/campaigns/{id:uuid}/text", opt=_TYPED, request_max_body_size=_TEXT)
async def post_text(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Save a draft; where somebody else was faster, show both texts and keep what was typed."""
    campaign = await campaigns.get(db, id)
    form = await read_form(request)
    taken = await sheet.taken(form)
    image = await _image(form)
    new = await sheet.read(db, form)
    version = form.integer("version", max=2**31 - 1)
    if new is None or version is None:
        return await _sheet(db, form, status=422, campaign=campaign)
    if taken:
        # The file is laid over the text on the page only: looked at first, saved afterwards.
        return await _sheet(db, form, campaign=campaign, taken=taken)
    try:
        async with db.together():
            await campaigns.change(db, who.actor, id, new, version=version)
            await _pictures(db, who, id, form, image)
            await campaigns.expire_after(db, id, sheet.expires_hours(form))
    except Invalid as refusal:
        form.take(refusal)
        return await _sheet(db, form, status=422, campaign=campaign)
    except Conflict as refusal:
        form.take(refusal)
        theirs = await campaigns.get(db, id) if isinstance(refusal, DraftChanged) else None
        if theirs:
            form.values["version"] = [str(theirs.version)]
        return await _sheet(db, form, status=409, campaign=campaign, theirs=theirs)
    return _saved(form, id, "Saved.")


@get("/campaigns/{id:uuid}/images/{name:str}", guards=SEE)
async def get_image(
    db: NamedDependency[ReadDb], id: FromPath[UUID], name: FromPath[str]
) -> Response[bytes]:
    """Show a picture that goes with the mail."""
    image = await images.get(db, id, name)
    return Response(image.content, media_type=image.media_type, headers=DOWNLOAD)


async def _sheet(
    db: ReadDb,
    form: Form,
    *,
    status: int = 200,
    campaign: Campaign | None = None,
    theirs: Campaign | None = None,
    taken: Newsletter | None = None,
) -> Response[Any]:
    purposes = [each for each in await consent.purposes(db) if each.channel == "email"]
    # Where something is wrong, nothing is checked: what is no id cannot even be read.
    right = bool(form.typed("purpose_id")) and not form.problems
    typed = sheet.typed(form) if right else None
    return page(
        "campaigns/pages/text.html",
        status=status,
        form=form,
        campaign=campaign,
        theirs=theirs,
        taken=taken,
        checked=await campaigns.check(db, typed, images_of=campaign.id if campaign else None)
        if typed and not form.problems
        else None,
        pictures=await images.held(db, campaign.id) if campaign else [],
        limits=(LARGEST // 1000, ALL_TOGETHER // 1_000_000),
        purposes=[(str(each.id), each.name) for each in purposes if each.retired_at is None],
        segments=[(str(each.id), each.name) for each in await segments.segments(db)],
    )


async def _image(form: Form) -> Image | None:
    """Read an uploaded picture under the name its file has, as far as a text can refer to it."""
    upload = form.file("image", required=False)
    if upload is None or not upload.filename:
        return None
    try:
        return sniffed(named(upload.filename), await upload.read())
    except Invalid as refusal:
        form.wrong("image", refusal.problems[0].message)
        return None


async def _pictures(db: Db, who: Member, id: UUID, form: Form, image: Image | None) -> None:
    if image is not None:
        await images.attach(db, who.actor, id, image.name, image.content)
    unwanted = form.typed("drop")
    if unwanted:
        await images.take_out(db, who.actor, id, unwanted)


def _saved(form: Form, id: UUID, say: str) -> Response[Any]:
    then = form.choice("then", ("text", "preview", "review"), required=False) or "text"
    return redirect(f"{LIST}/{id}/{then}", say=say)


def _noted(taken: Newsletter | None) -> str:
    return "".join(f" {warning}" for warning in taken.warnings) if taken else ""


handlers = [
    get_new_campaign,
    post_campaign,
    post_check,
    get_text,
    post_text,
    get_image,
]
