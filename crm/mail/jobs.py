"""Entry points of the worker for service messages: a way of their own, never behind a campaign."""

from __future__ import annotations

import asyncio
from typing import TypedDict
from uuid import UUID

from msgspec import structs

from crm import above
from crm.db import Database, Db
from crm.mail import actions, checking, sending_domains
from crm.mail.mime import needs_smtputf8
from crm.mail.model import ClaimedLetter
from crm.mail.outcome import Outcome
from crm.mail.wire import Limits, Parcel, send_one
from crm.settings import Settings

_AT_ONCE = 10


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings


async def sweep(ctx: Ctx) -> None:
    """Send what is due in any business, whether or not a wake arrived."""
    for business_id in await above.businesses_with_letters(ctx["database"]):
        await deliver(ctx, str(business_id))


async def check_domains(ctx: Ctx) -> None:
    """Look at the DNS of every domain whose turn it is."""
    for business_id in await above.businesses(ctx["database"]):
        await checking.check_due(ctx["database"], business_id, ctx["settings"])


async def deliver(ctx: Ctx, business: str) -> None:
    """Send the service messages of one business that are due."""
    database, business_id = ctx["database"], UUID(business)
    while True:
        async with database.write(business_id) as db:
            letters = await actions.claim_letters(db, _AT_ONCE)
            letters = await _signed(db, letters)
        if not letters:
            return
        outcomes = await asyncio.gather(*(_hand_over(ctx, letter) for letter in letters))
        async with database.write(business_id) as db:
            for letter, outcome in zip(letters, outcomes, strict=True):
                await actions.record_letter(db, letter, outcome)


async def _signed(db: Db, letters: list[ClaimedLetter]) -> list[ClaimedLetter]:
    """Sign each for the domain it was written from, which may be an earlier one of the business."""
    senders = {sender_of(letter.content) for letter in letters}
    signers = {sender: await sending_domains.signer(db, sender) for sender in senders}
    signed = []
    for letter in letters:
        signer = signers[sender_of(letter.content)]
        content = signer.signed(letter.content, db.now) if signer else letter.content
        signed.append(structs.replace(letter, content=content))
    return signed


async def _hand_over(ctx: Ctx, letter: ClaimedLetter) -> Outcome:
    relay = ctx["settings"].smtp
    parcel = Parcel(
        letter.message_id,
        sender_of(letter.content),
        letter.address,
        letter.content,
        smtputf8=needs_smtputf8(letter.address),
    )
    limits = Limits(open=relay.timeout)
    return await send_one(relay, parcel, hello=relay.hostname, limits=limits)


def sender_of(content: bytes) -> str:
    """Read the envelope sender from a message that we composed: the address in its From."""
    head = content.partition(b"\r\n\r\n")[0]
    line = next(line for line in head.split(b"\r\n") if line.startswith(b"From: "))
    return line.rpartition(b"<")[2].rstrip(b">").decode()
