"""A letter in its envelope: signed, with where it comes back to, and the relays that take it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from crm import businesses, customers
from crm.businesses import Business
from crm.db import Db
from crm.keys import Keys, KeyWrong
from crm.log import logger
from crm.mail import outcome, relays, sending_domains
from crm.mail.dkim import Signer
from crm.mail.mime import needs_smtputf8
from crm.mail.model import ClaimedLetter
from crm.mail.outcome import Outcome, Whose
from crm.mail.relays import Relay
from crm.mail.wire import Limits, Parcel, send_by
from crm.return_path import Way, return_address
from crm.settings import Settings

_log = logger(__name__)

# A field goes on in the lines that begin with a blank (RFC 5322 §2.2.3).
_FOLD = re.compile(rb"\r\n(?=[ \t])")


class Unreadable(ValueError):
    """This letter does not say whom it is from, so that nothing can be handed over."""


class Desk(Struct, frozen=True):
    """All that letters of one business are handed over with."""

    keys: Keys
    business: Business
    relays: Sequence[Relay]
    signers: dict[str, Signer | None]
    limits: Limits

    async def hand_over(
        self,
        letter: ClaimedLetter,
        at: datetime,
        begin: Callable[[], Awaitable[None]] | None = None,
        within: float | None = None,
    ) -> Outcome:
        """Send one; neither rates nor caps are for these: somebody waits for each of them.

        One that cannot be read has failed, and costs no other.
        """
        try:
            parcel = self._parcel(letter, at)
        except ValueError:
            _log.warning("letter_unreadable", business=str(self.business.id))
            return outcome.refused_here("bad_content", Whose.ours)
        by = [(each, each.hello) for each in self.relays]
        return await send_by(by, parcel, limits=self.limits, begin=begin, within=within)

    def _parcel(self, letter: ClaimedLetter, at: datetime) -> Parcel:
        sender = sender_of(letter.content)
        signer = self.signers[sender]
        return Parcel(
            letter.message_id,
            self._returns(letter, sender),
            letter.address,
            signer.signed(letter.content, at) if signer else letter.content,
            smtputf8=needs_smtputf8(letter.address),
        )

    def _returns(self, letter: ClaimedLetter, sender: str) -> str:
        """Say where a letter comes back to: a confirmation that bounces is heard of as well."""
        domain = self.business.return_domain
        if not domain:
            return sender
        return return_address(
            self.keys,
            self.business.id,
            domain,
            Way.service,
            letter.address_hash,
            letter.message_id,
        )


async def desk(db: Db, letters: Sequence[ClaimedLetter], settings: Settings) -> Desk:
    """Look up what these letters are handed over with."""
    return Desk(
        keys=db.keys,
        business=await businesses.get(db),
        relays=await relays.usable(db, settings),
        signers=await _signers(db, letters),
        limits=Limits(open=settings.smtp.timeout, patience=settings.smtp.patience),
    )


async def _signers(db: Db, letters: Sequence[ClaimedLetter]) -> dict[str, Signer | None]:
    """Find who signs for each address they were written from: it may be an earlier one.

    A key that cannot be read signs nothing: somebody waits for these mails, and a campaign says it.
    """
    signers: dict[str, Signer | None] = {}
    senders: set[str] = set()
    for letter in letters:
        # Handing it over says so, of this one alone.
        with suppress(Unreadable):
            senders.add(sender_of(letter.content))
    for sender in senders:
        try:
            signers[sender] = await sending_domains.signer(db, sender)
        except KeyWrong:
            _log.warning("dkim_key_unreadable", business=str(db.business_id))
            signers[sender] = None
    return signers


def sender_of(content: bytes) -> str:
    """Read the envelope sender from a message that we composed: the address in its From.

    Unreadable where there is none: nothing else could be signed for or come back.
    """
    head = _FOLD.sub(b"", content.partition(b"\r\n\r\n")[0])
    line = next((line for line in head.split(b"\r\n") if line.startswith(b"From: ")), b"")
    try:
        sender = line.rpartition(b"<")[2].rstrip(b">").decode()
        customers.parse(sender)
    except (UnicodeDecodeError, customers.NotAnAddress):
        raise Unreadable from None
    return sender
