"""What is done with consent: it is asked for, given, refused and withdrawn, and never edited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm import businesses
from crm.consent import evidence, network
from crm.consent.bundle import Bundle
from crm.consent.deciding import Circumstances, Wish, append, decide, held
from crm.consent.evidence import EvidenceFile
from crm.consent.grounds import SALE
from crm.consent.kept_proof import KeptProof
from crm.consent.model import (
    Consent,
    ConsentEvent,
    ConsentTold,
    MailboxProof,
    Question,
    UnknownEvent,
)
from crm.consent.network import KeptNetwork
from crm.consent.purposes import current_notices, notices_shown_to, purposes_for
from crm.consent.receipts import receipts_if_signed
from crm.consent.record import read
from crm.consent.standing import Silence, Standing, arranged
from crm.consent.states import OPTED_OUT, Method, Status
from crm.customers import UnknownCustomer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor

sql = Statements("consent")


class ConsentExport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is held about one customer's consent, for herself."""

    told: ConsentTold
    networks: list[KeptNetwork]
    files: list[EvidenceFile]
    proofs: list[MailboxProof]
    # Of every decision; none while the key that signs them cannot be used.
    receipts: Bundle | None
    # Of an earlier record under this address, which she had deleted.
    kept_proofs: list[KeptProof]


class _Gone(msgspec.Struct, frozen=True):
    store: str
    gone: int


async def request(
    db: Db, by: Actor, customer_id: UUID, asked: Question, circumstances: Circumstances
) -> ConsentEvent:
    """Record that a customer asked for something and has not confirmed it; authorises nothing."""
    wish = Wish(customer_id, asked.purpose_id, Status.requested, asked.notice_id)
    return await decide(db, by, wish, circumstances)


async def give(
    db: Db, by: Actor, customer_id: UUID, asked: Question, circumstances: Circumstances
) -> ConsentEvent:
    """Record a yes to exactly this text.

    By the customer's own word, with the proof of her mailbox, it lifts an earlier no. By staff, key
    or import it needs evidence of a kind that the notice accepts (EvidenceNotAccepted), and lifts
    neither a no (OptOutStands) nor a suppression (Silenced).
    """
    wish = Wish(customer_id, asked.purpose_id, Status.given, asked.notice_id)
    return await decide(db, by, wish, circumstances)


async def refuse(
    db: Db, by: Actor, customer_id: UUID, asked: Question, circumstances: Circumstances
) -> ConsentEvent:
    """Record a no to a question; a standing yes is not refused but withdrawn."""
    wish = Wish(customer_id, asked.purpose_id, Status.refused, asked.notice_id)
    return await decide(db, by, wish, circumstances)


async def defer(
    db: Db, by: Actor, customer_id: UUID, asked: Question, circumstances: Circumstances
) -> ConsentEvent:
    """Record that a question was put off: neither a yes nor a no, so it allows nothing."""
    wish = Wish(customer_id, asked.purpose_id, Status.deferred, asked.notice_id)
    return await decide(db, by, wish, circumstances)


async def tell_at_sale(
    db: Db, by: Actor, customer_id: UUID, asked: Question, circumstances: Circumstances
) -> ConsentEvent:
    """Record a soft opt-in: told at a sale, with a free way out, and not objected to.

    Only for a purpose on that basis (NotSoftOptIn) of a business that switched it on
    (SoftOptInOff). It is no consent, and lifts no earlier no.
    """
    evidence = {**circumstances.evidence, "kind": SALE}
    wish = Wish(customer_id, asked.purpose_id, Status.unobjected, asked.notice_id)
    told = msgspec.structs.replace(circumstances, evidence=evidence)
    return await decide(db, by, wish, told)


async def withdraw(
    db: Db,
    by: Actor,
    customer_id: UUID,
    purpose_id: UUID,
    *,
    method: Method,
    at: datetime | None = None,
    said: dict[str, Any] | None = None,
) -> ConsentEvent:
    """Take back consent for one purpose. Always accepted, and at once; again changes nothing.

    Waiting deliveries of the purpose are taken out in this transaction (promise 2). What is said of
    a record that was merged into another counts there. Of whoever was erased, also while this
    waited, nothing is written down again (UnknownCustomer): only her erasure itself ends all.
    """
    asked = await held(db, customer_id, purpose_id, None)
    if asked.merged_into is not None:
        kept_id = asked.merged_into
        return await withdraw(db, by, kept_id, purpose_id, method=method, at=at, said=said)
    if not asked.known and method is not Method.erasure:
        raise UnknownCustomer
    if asked.status is Status.withdrawn and asked.event_id is not None:
        return await event(db, asked.event_id)
    wish = Wish(customer_id, purpose_id, Status.withdrawn, None)
    return await append(db, by, wish, Circumstances(method, at=at, evidence=said or {}), asked)


async def withdraw_all(
    db: Db,
    by: Actor,
    customer_id: UUID,
    *,
    method: Method,
    said: dict[str, Any] | None = None,
    channel: str | None = None,
) -> list[UUID]:
    """Take back every consent that is not a no already; return the purposes concerned.

    With a `channel` only those that go by it: whoever stops all mails did not say that a use of
    her data ends, nor that the details go which are kept for that.
    """
    await hold(db, customer_id)
    await hold_ranges(db, customer_id)
    ended = [
        state.purpose_id for state in await states(db, customer_id) if state.status not in OPTED_OUT
    ]
    if channel is not None:
        by_it = {each.id for each in await purposes_for(db, customer_id) if each.channel == channel}
        ended = [purpose_id for purpose_id in ended if purpose_id in by_it]
    for purpose_id in sorted(ended):
        await withdraw(db, by, customer_id, purpose_id, method=method, said=said)
    return ended


async def end_at_move(db: Db, by: Actor, customer_id: UUID, purpose_id: UUID) -> ConsentEvent:
    """End a yes that was said for an address which is hers no more; only she can say it again.

    DPV calls it expired: the context it was given in is over.
    """
    wish = Wish(customer_id, purpose_id, Status.expired, None)
    return await decide(db, by, wish, Circumstances(Method.new_address))


async def invalidate(
    db: Db, by: Actor, customer_id: UUID, purpose_id: UUID, *, why: str
) -> ConsentEvent:
    """End a consent that was found not to hold; at once, and only she can give another."""
    wish = Wish(customer_id, purpose_id, Status.invalidated, None)
    return await decide(db, by, wish, Circumstances(Method.staff, evidence={"reason": why}))


async def silence(db: ReadDb, customer_id: UUID) -> Silence | None:
    """Return why nothing is sent to a customer whatever is on; None: it is, or nothing is on."""
    return await db.maybe(sql.silence, Silence, customer_id=customer_id)


async def state(db: ReadDb, customer_id: UUID, purpose_id: UUID) -> Consent | None:
    """Return the current state, or None where the customer was never asked."""
    return await db.maybe(
        sql.consent_state, Consent, customer_id=customer_id, purpose_id=purpose_id
    )


async def states(db: ReadDb, customer_id: UUID) -> list[Consent]:
    """Return the current state for every purpose the customer was ever asked about."""
    return await db.many(sql.consents_of_customer, Consent, customer_id=customer_id)


async def hold(db: Db, customer_id: UUID) -> None:
    """Let nobody decide about a customer before this transaction ends."""
    await db.many(sql.hold_consents, UUID, customer_id=customer_id)


async def hold_ranges(db: Db, *customer_ids: UUID) -> None:
    """Let nothing of theirs be claimed before this transaction ends.

    Before several decisions, too: each takes her out of the campaigns of its purpose, and whoever
    takes somebody out of all at once holds her ranges in the order of campaigns, so purpose by
    purpose two would wait for each other. What she decided is held before.
    """
    await db.many(sql.hold_ranges, int, customer_ids=list(customer_ids))


async def authorised(
    db: ReadDb, purpose_id: UUID, customer_ids: Sequence[UUID]
) -> dict[UUID, Consent]:
    """Return those of these customers whose consent authorises now; the rest are left out."""
    found = await states_for(db, purpose_id, customer_ids)
    return {each: state for each, state in found.items() if state.authorises(db.now)}


async def states_for(
    db: ReadDb, purpose_id: UUID, customer_ids: Sequence[UUID]
) -> dict[UUID, Consent]:
    """Return where some customers stand for one purpose; who was never asked is left out."""
    found = await db.many(
        sql.consents_for_purpose,
        Consent,
        purpose_id=purpose_id,
        customer_ids=list(customer_ids),
    )
    return {each.customer_id: each for each in found}


async def event(db: ReadDb, event_id: UUID) -> ConsentEvent:
    """Return one decision as it was sealed, or refuse with UnknownEvent."""
    found = await db.maybe(sql.record, bytes, event_id=event_id)
    if found is None:
        raise UnknownEvent
    return read(found)


async def history(db: ReadDb, customer_id: UUID) -> list[ConsentEvent]:
    """Return every decision of a customer, newest first, as it was sealed."""
    found = await db.many(sql.records_of_customer, bytes, customer_id=customer_id)
    return [read(each) for each in found]


async def standings(db: ReadDb, customer_id: UUID, locale: str) -> list[Standing]:
    """Return where a customer stands for each purpose, with all the texts and decisions.

    `locale` is that of the text she would be asked with now.
    """
    said = await told(db, customer_id)
    lets = (await businesses.get(db)).soft_opt_in
    return arranged(said, await current_notices(db, locale), db.now, soft_opt_in=lets)


async def told(db: ReadDb, customer_id: UUID) -> ConsentTold:
    """Return what a customer decided: states, decisions, and the exact texts."""
    return ConsentTold(
        purposes=await purposes_for(db, customer_id),
        consents=await states(db, customer_id),
        events=await history(db, customer_id),
        notices=await notices_shown_to(db, customer_id),
    )


async def export(db: ReadDb, customer_id: UUID) -> ConsentExport:
    """Return all that is held about a customer's consent, networks decrypted, files by name."""
    return ConsentExport(
        told=await told(db, customer_id),
        networks=await network.networks(db, customer_id),
        files=await evidence.files(db, customer_id),
        proofs=await db.many(sql.proofs_of_customer, MailboxProof, customer_id=customer_id),
        receipts=await receipts_if_signed(db, customer_id),
        kept_proofs=await db.many(sql.kept_proofs_of_customer, KeptProof, customer_id=customer_id),
    )


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete records, salts and states of an erased customer; the stubs stay, and name nobody.

    Returns how many rows of which table.
    """
    found = await db.many(sql.erase_consent, _Gone, customer_id=customer_id)
    return {each.store: each.gone for each in found}
