"""The story of the demo, step by step: each through the door that a real one would use."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from rich.markup import escape
from rich.progress import Progress

from crm import businesses, campaigns, consent, imports, staff
from crm.businesses import Business, NewBusiness
from crm.campaigns import Campaign, NewCampaign
from crm.consent import EvidenceKind, NewNotice, NewPurpose, Notice, Purpose
from crm.demo import browser
from crm.demo.accounts import Accounts, Leaver, claimed_after
from crm.demo.browser import Form, expect
from crm.demo.mailbox import link
from crm.demo.people import write_export
from crm.demo.stage import Stage
from crm.demo.watch import Watch
from crm.events import Actor
from crm.ids import opaque
from crm.mail import sending_domains

_SYSTEM = Actor.system()
_HERE = Path(__file__).resolve().parent
_LETTER = NewPurpose(
    slug="letter",
    name="The Corner Letter",
    description="What we bake, why, and when; about every second Thursday.",
    # Longer than the lists of the demo go back.
    validity="P10Y",
)
_NOTICE = NewNotice(
    locale="en",
    text=(
        "Yes, send me The Corner Letter by e-mail, about every second Thursday: what we bake, "
        "why, and when. Corner Bakery Ltd uses my e-mail address and first name for this and for "
        "nothing else. I can stop at any time, with one click in every mail."
    ),
    control_label="The Corner Letter",
    accepts=[EvidenceKind.former_double_opt_in],
)
_KEY = staff.NewKey(
    name="Shop website",
    scopes=sorted(staff.Scope),
    reason="to show you your orders in the shop",
)
_OWNER = "owner@corner-bakery.example"
_SIGN_UPS = ("ada@example.org", "noor@example.org", "wim@example.org")
_CONFIRMED = 2
_PRESSES = 10
_AGAIN = 422
# The campaign to watch lasts at least so long, whatever the machine can do.
_LASTS = 5.5
_SEED = 20260604


class Cast(Struct, frozen=True):
    """Who and what the story is about."""

    business: Business
    purpose: Purpose
    notice: Notice
    password: str
    key: str


class Wishes(Struct, frozen=True):
    """What was asked for on the command line."""

    customers: int
    files: tuple[Path, ...]
    newsletter: campaigns.Newsletter


async def told(stage: Stage, wishes: Wishes, bar: Progress) -> Accounts:
    """Tell the whole story and return its accounts."""
    began = time.monotonic()
    cast = await _found(stage)
    for file in await _files(stage, wishes):
        await _import(stage, cast, file, bar)
    await _sign_ups(stage, cast, bar)
    await _send_earlier(stage, cast, bar)
    campaign = await _start(stage, cast, wishes.newsletter)
    watching = Watch(stage, cast.business.id, campaign.id, bar)
    async with asyncio.TaskGroup() as group:
        group.create_task(watching.to_the_end("The Corner Letter"))
        leaving = group.create_task(watching.let_some_leave())
    return await _accounts(stage, cast, campaign, leaving.result(), time.monotonic() - began)


def newsletter(file: Path | None) -> campaigns.Newsletter:
    """Read the text to send, ours if none is named; refused before anything has started."""
    path = file or _HERE / "newsletter.md"
    return campaigns.read_newsletter(path.read_bytes(), path.name)


async def _found(stage: Stage) -> Cast:
    """Add the business, its purpose and notice, its owner and a key."""
    business_id, password = opaque(), secrets.token_urlsafe(12)
    async with stage.database.write(business_id) as db:
        business = await businesses.add(db, _bakery(stage.origin))
        sender = sending_domains.domain_of(business.sender_address)
        await sending_domains.confirm(db, _SYSTEM, sender)
        purpose = await consent.add_purpose(db, _SYSTEM, _LETTER)
        notice = await consent.publish_notice(db, _SYSTEM, purpose.id, _NOTICE)
        await staff.add_first_owner(db, "Alice Moreau", _OWNER, password)
        _, key = await staff.add_key(db, _SYSTEM, _KEY)
    return Cast(business, purpose, notice, password, key)


def _bakery(origin: str) -> NewBusiness:
    return NewBusiness(
        name="Corner Bakery",
        legal_name="Corner Bakery Ltd",
        postal_address="4 Mill Lane, Exampleton EX1 2AB",
        sender_name="Corner Bakery",
        sender_address="letter@corner-bakery.example",
        privacy_contact="privacy@corner-bakery.example",
        origin=origin,
    )


async def _files(stage: Stage, wishes: Wishes) -> Sequence[Path]:
    if wishes.files:
        return wishes.files
    path = stage.directory / "subscribers.csv"
    path.touch(mode=0o600)
    await asyncio.to_thread(write_export, path, customers=wishes.customers, seed=_SEED)
    return [path]


async def _import(stage: Stage, cast: Cast, file: Path, bar: Progress) -> None:
    task = bar.add_task(f"Import {escape(file.name)}", total=None)
    done = await imports.work_file(
        stage.database,
        cast.business.id,
        _SYSTEM,
        cast.purpose.slug,
        file,
        watch=lambda seen: bar.update(task, completed=seen.rows_read),
    )
    total = done.added + done.changed + done.unchanged + done.rejected
    bar.update(task, completed=total, total=total)


async def _sign_ups(stage: Stage, cast: Cast, bar: Progress) -> None:
    """Three people use the form at once; two of them confirm from the mail they were sent."""
    task = bar.add_task("Sign-ups by the form", total=len(_SIGN_UPS) + _CONFIRMED)
    async with asyncio.TaskGroup() as group:
        for address in _SIGN_UPS:
            typed = {"email": address, "name": "", "purpose": cast.purpose.slug}
            group.create_task(_sign_up(stage, typed, lambda: bar.advance(task)))
    for address in _SIGN_UPS[:_CONFIRMED]:
        letter = await stage.mailbox.wait_for(address)
        page = expect(await browser.get(link(letter, "/confirm/")), 200)
        form = Form(page.body)
        expect(await browser.post(stage.origin + form.action, form.hidden), 200, 303)
        bar.advance(task)


async def _sign_up(stage: Stage, typed: dict[str, str], done: Callable[[], None]) -> None:
    """Fill in the form; who is faster than a person reads is asked to press the button again."""
    page = expect(await browser.get(f"{stage.origin}/sign-up"), 200)
    for _ in range(_PRESSES):
        form = Form(page.body)
        page = await browser.post(stage.origin + form.action, form.hidden | typed)
        if page.status != _AGAIN:
            break
        await asyncio.sleep(1)
    expect(page, 200, 303)
    done()


async def _send_earlier(stage: Stage, cast: Cast, bar: Progress) -> None:
    """Send last month's short issue, so that everybody has a mail with a link to leave by."""
    path = _HERE / "earlier.md"
    newsletter = campaigns.read_newsletter(path.read_bytes(), path.name)
    campaign = await _start(stage, cast, newsletter, paced=False)
    watching = Watch(stage, cast.business.id, campaign.id, bar)
    await watching.to_the_end("Last month's issue")


async def _start(
    stage: Stage, cast: Cast, newsletter: campaigns.Newsletter, *, paced: bool = True
) -> Campaign:
    async with stage.database.write(cast.business.id) as db:
        campaign = await campaigns.draft(
            db,
            _SYSTEM,
            NewCampaign(
                purpose_id=cast.purpose.id,
                subject=newsletter.subject,
                preheader=newsletter.preheader,
                source=newsletter.source,
                format=newsletter.kind,
            ),
        )
        review = await campaigns.review(db, campaign.id)
    await stage.mailbox.pace(max(review.will_get / _LASTS, 0.2) if paced else None)
    async with stage.database.write(cast.business.id) as db:
        return await campaigns.start(db, _SYSTEM, campaign.id)


async def _accounts(
    stage: Stage, cast: Cast, campaign: Campaign, leavers: tuple[Leaver, ...], seconds: float
) -> Accounts:
    async with stage.database.read(cast.business.id) as db:
        counts = await campaigns.recount(db, campaign.id)
        ranges = await campaigns.counts(db, campaign.id)
        ended = {
            leaver.customer_id: await campaigns.received_one(db, campaign.id, leaver.customer_id)
            for leaver in leavers
        }
    return Accounts(
        counts=counts,
        ranges=ranges,
        accepted=stage.mailbox.accepted(campaign.id.hex),
        leavers=leavers,
        claimed_after=claimed_after(leavers, ended),
        peak_rss_mb=stage.worker_peak_rss_mb(),
        seconds=seconds,
        urls=await _urls(stage, cast),
    )


async def _urls(stage: Stage, cast: Cast) -> dict[str, str]:
    """Say where to look, with what is needed to get in."""
    origin = stage.origin
    curl = f"curl -H 'Authorization: Bearer {cast.key}' '{origin}/v1/customers?limit=3'"
    return {
        "console": f"{origin}/staff",
        "console_sign_in": f"{_OWNER} / {cast.password}",
        "portal": f"{origin}/sign-in",
        "portal_customer": f"{_SIGN_UPS[0]}; the link is in the letterbox",
        "sign_up": f"{origin}/sign-up",
        "api": f"{origin}/docs",
        "api_example": curl,
        "letterbox": stage.mailbox.url,
    }
