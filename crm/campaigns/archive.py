"""Issues for everybody: a page for each, their list and an Atom feed, without anything of anybody.

What is public when is decided by staff. A paused or cancelled campaign stays here once some have
its mail, because that mail names its page.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape, quoteattr

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from crm.businesses import Business, logo
from crm.campaigns import images
from crm.campaigns.composing import archive_page, compiled
from crm.campaigns.model import Campaign
from crm.campaigns.render import neutral
from crm.db import ReadDb, Statements
from crm.errors import Invalid, NotFound
from crm.web.headers import DOWNLOAD, PUBLIC
from crm.web.pages import HTML, page, redirect
from crm.web.paging import Cursors

sql = Statements("campaigns")

_SHOWN = 50
_IN_FEED = 20
# The same for everybody, so whoever likes keeps it; five minutes, since staff can take it back.
_KEPT = {**PUBLIC, "cache-control": "public, max-age=300"}
# The page is the mail itself: its styles stand in it, its pictures are on the web.
_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: https:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# What XML 1.0 §2.2 has no way to write.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotPublic(NotFound):
    """There is no public issue at this address. It may have been taken out of the archive."""


class PublicIssue(Struct, frozen=True, kw_only=True):
    """A campaign that everybody may read, as its list shows it."""

    id: UUID
    purpose_id: UUID
    purpose: str
    subject: str
    preheader: str
    started_at: datetime


class After(Struct, frozen=True):
    """The last issue of a page: a draft may wait for long, so its id does not say when it began."""

    at: datetime
    id: UUID


@get("/archive")
async def get_archive(
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
) -> Response[Any]:
    """List the public issues, what started last first."""
    if before is not None:
        # A link of a former version, which named another place: no page is where it was.
        return redirect("/archive")
    cursors = Cursors(db.keys, db.business_id, "archive")
    found = await _issues(db, business, _SHOWN + 1, cursors.open(after, After))
    cut = cursors.cut(found, _SHOWN, lambda issue: After(issue.started_at, issue.id))
    return page(
        "campaigns/pages/archive.html",
        headers=_KEPT,
        issues=cut.rows,
        older=f"/archive?after={cut.after}" if cut.after else "",
    )


@get("/archive/{id:uuid}")
async def get_issue(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show one public issue as it was mailed, with neutral words where a mail has one's own."""
    campaign = await db.maybe(sql.public_campaign, Campaign, campaign_id=id)
    if campaign is None:
        raise NotPublic
    try:
        message = await compiled(db, campaign, archived=True)
    except Invalid:
        # An attribute it asked for is no longer declared, so nobody can say how it read.
        raise NotPublic from None
    page = message.public().html.encode("utf-8", "replace")
    headers = {"content-security-policy": _CSP}
    return _kept(request, page, f"{HTML}; charset=utf-8", headers)


@get("/archive/feed.xml")
async def get_feed(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Give the newest public issues as a feed (RFC 4287)."""
    issues = await _issues(db, business, _IN_FEED)
    content = feed(business, issues).encode("utf-8", "replace")
    return _kept(request, content, "application/atom+xml; charset=utf-8", {})


@get("/archive/{id:uuid}/images/{name:str}")
async def get_issue_image(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    id: FromPath[UUID],
    name: FromPath[str],
) -> Response[Any]:
    """Give a picture of a public issue, the same bytes to everybody."""
    campaign = await db.maybe(sql.public_campaign, Campaign, campaign_id=id)
    # What lies beside the text and is not shown in it is nobody's business.
    if campaign is None or name not in campaign.source:
        raise NotPublic
    image = await images.get(db, id, name)
    return _kept(request, image.content, image.media_type, DOWNLOAD)


@get("/archive/logo")
async def get_logo(request: Request[Any, Any, Any], db: NamedDependency[ReadDb]) -> Response[Any]:
    """Give the logo that the public issues show."""
    image = await logo.get(db)
    return _kept(request, image.content, image.media_type, DOWNLOAD)


def feed(business: Business, issues: list[PublicIssue]) -> str:
    """Write an Atom feed; its ids stay when names, texts and addresses change (§4.2.6)."""
    updated = issues[0].started_at if issues else business.created_at
    home = f"{business.origin}/archive"
    entries = "".join(_entry(business, each) for each in issues)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang={quoteattr(business.locale)}>\n'
        f"<id>urn:uuid:{business.id}</id>\n"
        f"<title>{_written(business.name)}</title>\n"
        f"<updated>{_instant(updated)}</updated>\n"
        f"<author><name>{_written(business.name)}</name></author>\n"
        f'<link rel="self" type="application/atom+xml" href={quoteattr(f"{home}/feed.xml")}/>\n'
        f'<link rel="alternate" type="text/html" href={quoteattr(home)}/>\n'
        f"{entries}</feed>\n"
    )


def _entry(business: Business, issue: PublicIssue) -> str:
    where = quoteattr(archive_page(business, issue.id))
    at = _instant(issue.started_at)
    return (
        f"<entry>\n<id>urn:uuid:{issue.id}</id>\n"
        f"<title>{_written(issue.subject)}</title>\n"
        f"<published>{at}</published>\n<updated>{at}</updated>\n"
        f'<link rel="alternate" type="text/html" href={where}/>\n'
        f"<category term={quoteattr(_spoken(issue.purpose))}/>\n"
        f"<summary>{_written(issue.preheader or issue.purpose)}</summary>\n</entry>\n"
    )


async def _issues(
    db: ReadDb, business: Business, limit: int, after: After | None = None
) -> list[PublicIssue]:
    found = await db.many(
        sql.public_campaigns,
        PublicIssue,
        before_at=after.at if after else None,
        before_id=after.id if after else None,
        limit=limit,
    )
    return [
        PublicIssue(
            id=each.id,
            purpose_id=each.purpose_id,
            purpose=each.purpose,
            subject=neutral(each.subject, business.name),
            preheader=neutral(each.preheader, business.name),
            started_at=each.started_at,
        )
        for each in found
    ]


def _kept(
    request: Request[Any, Any, Any], content: bytes, media_type: str, headers: dict[str, str]
) -> Response[Any]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_KEPT, **headers, "etag": tag}
    known = [each.strip().removeprefix("W/") for each in _asked(request).split(",")]
    if tag in known:
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    return Response(content, media_type=media_type, headers=headers)


def _asked(request: Request[Any, Any, Any]) -> str:
    found: str = request.headers.get("if-none-match", "")
    return found


def _spoken(text: str) -> str:
    return _UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _written(text: str) -> str:
    return escape(_spoken(text))


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


handlers = [get_archive, get_issue, get_issue_image, get_logo, get_feed]
