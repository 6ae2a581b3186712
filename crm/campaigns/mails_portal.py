"""Her mails: all that was sent to her and what each rests on, and each as it was sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from crm import customers
from crm.businesses import Business
from crm.campaigns.as_sent import AsSent
from crm.campaigns.mails import NoSuchMail, eml, grounded, mails, one_mail
from crm.campaigns.render import neutral
from crm.campaigns.screen import on_screen
from crm.customers import Customer
from crm.db import ReadDb
from crm.tokens import Why, why_token
from crm.web.headers import MAIL_AGAIN, WITH_FRAME
from crm.web.pages import HTML, page
from crm.web.paging import Cursors

_LIST = "/me/mails"
_SHOWN = 25
_FOREIGN = ('src="http://', 'src="https://')


class After(Struct, frozen=True):
    """The last mail of a page."""

    at: datetime
    id: UUID


@get("/mails")
async def get_mails(
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """Show campaigns and service messages to the customer, the newest first."""
    cursors = Cursors(db.keys, db.business_id, "me/mails")
    begun = cursors.open(after, After)
    before = (begun.at, begun.id) if begun else None
    found = await mails(db, me, before=before, limit=_SHOWN + 1)
    cut = cursors.cut(found, _SHOWN, lambda line: After(line.at, line.id))
    return page(
        "campaigns/pages/mails.html",
        neutral=neutral,
        mails=await grounded(db, me, cut.rows),
        older=f"{_LIST}?after={cut.after}" if cut.after else "",
        newest=_LIST if begun else "",
    )


@get("/mails/{id:uuid}")
async def get_mail(
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
    id: FromPath[UUID],
    part: FromQuery[Literal["html", "text"]] = "html",
) -> Response[Any]:
    """Show one mail as it was sent, when, and what it rests on."""
    found = await one_mail(db, me, id)
    (shown,) = await grounded(db, me, [found.line])
    fingerprint = db.keys.address_hash(db.business_id, customers.fold(me.address))
    return page(
        "campaigns/pages/mail.html",
        headers=WITH_FRAME,
        neutral=neutral,
        shown=shown,
        sent=found.words,
        part=part,
        days=business.mail_days,
        foreign=found.words is not None and any(each in found.words.html for each in _FOREIGN),
        why=why_token(db.keys, Why(db.business_id, fingerprint, id)),
    )


@get("/mails/{id:uuid}/page")
async def get_mail_page(
    db: NamedDependency[ReadDb], me: NamedDependency[Customer], id: FromPath[UUID]
) -> Response[str]:
    """Answer with the mail's HTML alone, for a frame that can do nothing and asks nobody."""
    words = await _words(db, me, id)
    return Response(on_screen(words.html, words.images), media_type=HTML, headers=MAIL_AGAIN)


@get("/mails/{id:uuid}/file")
async def get_mail_file(
    db: NamedDependency[ReadDb], me: NamedDependency[Customer], id: FromPath[UUID]
) -> Response[bytes]:
    """Give the mail as a file that mail programs open."""
    words = await _words(db, me, id)
    headers = {"content-disposition": f'attachment; filename="mail-{id}.eml"'}
    return Response(eml(words), media_type="message/rfc822", headers=headers)


async def _words(db: ReadDb, me: Customer, mail_id: UUID) -> AsSent:
    found = await one_mail(db, me, mail_id)
    if found.words is None:
        raise NoSuchMail
    return found.words


handlers = [get_mails, get_mail, get_mail_page, get_mail_file]
