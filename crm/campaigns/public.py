"""Is this the mail that was sent? For anybody who holds one: no sign-in, no cookie, nothing kept.

Only the campaign is looked up, by the Message-ID. What in the mail names its reader is compared by
its shape, and never with what we know.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from crm import campaigns
from crm.campaigns import Comparison, NoVerdict, Skeleton, Verdict
from crm.campaigns.comparing import LARGEST_MAIL
from crm.db import ReadDb
from crm.languages import gettext, marked
from crm.web.forms import Form, read_form
from crm.web.pages import page
from crm.web.ratelimit import Limit

_PAGE = "campaigns/pages/mail_check.html"
# A pasted mail takes up to three bytes for one in a plain form.
_BODY = 3 * LARGEST_MAIL + 100_000
_OFTEN = Limit("mail-check", quota=20, seconds=60)
_UNKNOWN = marked(
    "This mail names no campaign that was sent from here. Its Message-ID is looked at; a forwarded "
    "mail has one of its own, so save the mail as it came and hand in that file."
)
_DIGITS = 64


class Shown(Struct, frozen=True):
    """A verdict as it is downloaded: hexadecimal where the row has bytes."""

    campaign: str
    skeleton_sha256: str
    rules: str
    lists_sha256: str
    findings: list[dict[str, Any]]
    at: str


@get("/mail-check")
async def get_check() -> Response[Any]:
    """Show the form that takes a mail."""
    return page(_PAGE, form=Form(), compared=None, campaign="")


@post(
    "/mail-check",
    guards=[_OFTEN],
    opt={"typed": _BODY},
    status_code=200,
    request_max_body_size=_BODY,
)
async def post_check(request: Request[Any, Any, Any], db: NamedDependency[ReadDb]) -> Response[Any]:
    """Compare a mail with what was sent; nothing of it is kept or logged."""
    form = await read_form(request)
    raw = await _mail(form)
    compared: Comparison | None = None
    campaign = campaigns.campaign_of(raw) if raw else ""
    if raw and not form.problems:
        known = await campaigns.skeletons(db, UUID(campaign)) if campaign else []
        if known:
            # Some tenths of a second for a large mail, which nobody else should wait for.
            compared = await asyncio.to_thread(_nearest, raw, known)
        else:
            form.wrong("file", gettext(_UNKNOWN))
    # What was pasted is not sent back: it may be long, and it is her own.
    shown = Form()
    shown.problems = form.problems
    status = 422 if form.problems else 200
    return page(_PAGE, status=status, form=shown, compared=compared, campaign=campaign)


@get("/mail-check/{campaign:str}")
async def get_verdict(db: NamedDependency[ReadDb], campaign: FromPath[str]) -> Response[Any]:
    """Show what was found in a campaign before it started, and where its skeleton is."""
    found = await _verdicts(db, campaign)
    return page("campaigns/pages/verdict.html", verdicts=found, campaign=_id(campaign).hex)


@get("/mail-check/{campaign:str}/verdict.json")
async def get_verdict_file(db: NamedDependency[ReadDb], campaign: FromPath[str]) -> Response[bytes]:
    """Give the verdicts on a campaign as JSON."""
    shown = [
        Shown(
            each.campaign_id.hex,
            each.digest.hex(),
            each.rules,
            each.lists,
            each.findings,
            each.at.isoformat(),
        )
        for each in await _verdicts(db, campaign)
    ]
    return _file(msgspec.json.encode(shown), f"verdict-{_id(campaign).hex}.json")


@get("/mail-check/{campaign:str}/skeleton/{seal:str}")
async def get_skeleton_file(
    db: NamedDependency[ReadDb], campaign: FromPath[str], seal: FromPath[str]
) -> Response[bytes]:
    """Give one skeleton, exactly the bytes of which the verdict names the SHA-256."""
    try:
        digest = bytes.fromhex(seal if len(seal) == _DIGITS else "")
    except ValueError:
        raise NoVerdict from None
    raw = await campaigns.skeleton(db, _id(campaign), digest)
    return _file(raw, f"skeleton-{_id(campaign).hex}.json")


def _nearest(raw: bytes, known: list[Skeleton]) -> Comparison:
    found = [campaigns.compare(raw, each) for each in known]
    return min(found, key=lambda each: len(each.differences))


async def _mail(form: Form) -> bytes:
    upload = form.file("file", required=False)
    raw = await upload.read() if upload is not None and upload.filename else b""
    raw = raw or form.typed("mail").encode("utf-8", "replace")
    if not raw.strip():
        form.wrong("file", gettext("Choose the file of a mail, or paste its source."))
    elif len(raw) > LARGEST_MAIL:
        most = LARGEST_MAIL // 1_000_000
        form.wrong("file", gettext("A mail may have %(most)s MB here at most.", most=most))
    return raw


async def _verdicts(db: ReadDb, campaign: str) -> list[Verdict]:
    found = await campaigns.verdicts(db, _id(campaign))
    if not found:
        raise NoVerdict
    return found


def _id(campaign: str) -> UUID:
    try:
        return UUID(campaign)
    except ValueError:
        raise NoVerdict from None


def _file(content: bytes, name: str) -> Response[bytes]:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/json", headers=headers)


handlers = [get_check, post_check, get_verdict, get_verdict_file, get_skeleton_file]
