"""Entry points of the worker for service messages: a way of their own, never behind a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from msgspec import structs

from crm import above, businesses
from crm.businesses import Business
from crm.db import Database, Db
from crm.keys import Keys, KeyWrong
from crm.log import logger
from crm.mail import actions, checking, relays, sending_domains
from crm.mail.dkim import Signer
from crm.mail.mime import needs_smtputf8
from crm.mail.model import ClaimedLetter
from crm.mail.outcome import Outcome
from crm.mail.relays import Relay
from crm.mail.wire import Limits, Parcel, send_by
from crm.return_path import Way, return_address
from crm.rounds import apart, each_business
from crm.settings import Settings

_log = logger(__name__)

_AT_ONCE = 10
# So many businesses at once, so that a relay that does not answer holds up few others.
_BUSINESSES = 8


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings


async def sweep(ctx: Ctx) -> None:
    """Send what is due in any business, whether or not a wake arrived."""
    turns = asyncio.Semaphore(_BUSINESSES)

    async def send(business_id: UUID) -> None:
        async with turns:
            with apart("mail.sweep", business_id):
                await deliver(ctx, str(business_id))

    due = await above.businesses_with_letters(ctx["database"])
    await asyncio.gather(*(send(business_id) for business_id in due))


async def check_domains(ctx: Ctx) -> None:
    """Look at the DNS of every domain whose turn it is."""

    async def check(business_id: UUID) -> None:
        await checking.check_due(ctx["database"], business_id, ctx["settings"])

    await each_business(ctx["database"], "mail.check", check)


async def deliver(ctx: Ctx, business: str) -> None:
    """Send the service messages of one business that are due."""
    database, business_id = ctx["database"], UUID(business)
    while True:
        async with database.write(business_id) as db:
            letters = await actions.claim_letters(db, _AT_ONCE)
            signers = await _signers(db, letters)
            ways = await relays.usable(db, ctx["settings"])
            known = await businesses.get(db)
        if not letters:
            return
        at = database.clock()
        letters = [_signed(each, signers[sender_of(each.content)], at) for each in letters]
        outcomes = await asyncio.gather(
            *(_hand_over(ctx, ways, each, _sender(database.keys, known, each)) for each in letters)
        )
        async with database.write(business_id) as db:
            for letter, outcome in zip(letters, outcomes, strict=True):
                await actions.record_letter(db, letter, outcome)


async def _signers(db: Db, letters: Sequence[ClaimedLetter]) -> dict[str, Signer | None]:
    """Find who signs for each address they were written from: it may be an earlier one.

    A key that cannot be read signs nothing: somebody waits for these mails, and a campaign says it.
    """
    signers: dict[str, Signer | None] = {}
    for sender in {sender_of(letter.content) for letter in letters}:
        try:
            signers[sender] = await sending_domains.signer(db, sender)
        except KeyWrong:
            _log.warning("dkim_key_unreadable", business=str(db.business_id))
            signers[sender] = None
    return signers


def _signed(letter: ClaimedLetter, signer: Signer | None, at: datetime) -> ClaimedLetter:
    if signer is None:
        return letter
    return structs.replace(letter, content=signer.signed(letter.content, at))


async def _hand_over(
    ctx: Ctx, ways: Sequence[Relay], letter: ClaimedLetter, sender: str
) -> Outcome:
    """Neither rates nor caps are for these: somebody waits for each of them."""
    parcel = Parcel(
        letter.message_id,
        sender,
        letter.address,
        letter.content,
        smtputf8=needs_smtputf8(letter.address),
    )
    smtp = ctx["settings"].smtp
    limits = Limits(open=smtp.timeout, patience=smtp.patience)
    return await send_by([(each, each.hello) for each in ways], parcel, limits=limits)


def _sender(keys: Keys, business: Business, letter: ClaimedLetter) -> str:
    """Say where a letter comes back to: a confirmation that bounces is heard of as well."""
    domain = business.return_domain
    if not domain:
        return sender_of(letter.content)
    return return_address(
        keys, business.id, domain, Way.service, letter.address_hash, letter.message_id
    )


def sender_of(content: bytes) -> str:
    """Read the envelope sender from a message that we composed: the address in its From."""
    head = content.partition(b"\r\n\r\n")[0]
    line = next(line for line in head.split(b"\r\n") if line.startswith(b"From: "))
    return line.rpartition(b"<")[2].rstrip(b">").decode()
