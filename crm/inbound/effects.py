"""What a mail that came in does: to an address, to a delivery, or to what we know of a customer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from msgspec import Struct

from crm import access, campaigns, consent, customers, mail
from crm.campaigns import Origin
from crm.consent import Method
from crm.customers import Customer, NewReply, NotAnAddress
from crm.customers.interaction import ASKS_TO_LEAVE
from crm.db import Db, ReadDb, Statements
from crm.events import Actor
from crm.inbound.heard import AutoReply, Bounce, Complaint, Failure, Reply, Unsubscribe, Verdict
from crm.inbound.model import SETTLES, Arrival, Proof, SoftBounce, worn_out, worst
from crm.inbound.proof import fingerprint, referred
from crm.languages import ENGLISH, chosen, gettext, speaking
from crm.mail import Scope, Why
from crm.return_path import Way
from crm.tokens import Stop

sql = Statements("inbound")


class Step(Struct, frozen=True):
    """What is counted, and what is done once; nothing where `act` is None."""

    kind: str
    code: str = ""
    act: Callable[[], Awaitable[None]] | None = None


async def step_of(  # noqa: PLR0911  (one for each kind)
    db: Db, arrival: Arrival, proof: Proof | None
) -> Step:
    """Decide what a mail does. What proves nothing does nothing, but for a person's own words."""
    match arrival.heard:
        case Bounce() as bounce:
            failure = worst(bounce)
            code = failure.enhanced or (str(failure.code) if failure.code else "")
            # From an address for leaving nothing is ever sent, so nothing of it can bounce.
            if proof is None or proof.stop is not None:
                return Step("unproven")
            return Step(failure.verdict, code, lambda: _bounced(db, proof, failure, code))
        case Complaint() as complaint:
            if proof is None:
                return Step("unproven")
            if not complaint.objects:
                return Step("no_objection")
            return Step("complaint", complaint.kind[:20], lambda: _complained(db, proof, complaint))
        case Unsubscribe() as wish:
            return await _leaving(db, wish, proof)
        case Reply() as reply:
            return await _answer(db, reply, proof)
        case AutoReply():
            return Step("auto_reply")
        case _:
            return Step("unreadable")


async def _bounced(db: Db, proof: Proof, failure: Failure, code: str) -> None:
    """Suppress what is dead, count what is not well; what is our own fault costs nobody."""
    # Before any range, and in a statement of its own: what is asked after it is true until the end.
    await db.many(sql.hold_owners, UUID, address_hash=proof.address_hash)
    origin = await _origin(db, proof)
    new = True
    if failure.failed and origin is not None:
        new = await campaigns.bounced(db, origin.id, proof.address_hash, failure.verdict, code)
        await _count(db, origin, failure.verdict)
    if failure.failed and proof.sent is not None and proof.sent.way is Way.service:
        sent = proof.sent
        await mail.service_message_came_back(db, sent.low, sent.high, sent.address_hash, code)
    if failure.verdict is Verdict.hard:
        await _give_up(db, proof.address_hash)
    elif failure.verdict is Verdict.soft and (new or origin is None):
        await _soft(db, proof.address_hash)
    elif failure.verdict is Verdict.delivered:
        await db.run(sql.drop_soft_bounce, address_hash=proof.address_hash)


async def _soft(db: Db, address_hash: bytes) -> None:
    """Count a soft bounce; what was sent since the last one and never came back begins anew."""
    if not await _is_known(db, address_hash):
        return
    known: SoftBounce | None = None
    # Of two first ones at once the later one counts on; one may also have been forgotten meanwhile.
    while known is None:
        if await db.run(sql.begin_soft_bounce, address_hash=address_hash):
            return
        known = await db.maybe(sql.soft_bounce, SoftBounce, address_hash=address_hash)
    if await campaigns.arrived(db, address_hash, known.last_at, db.now - SETTLES):
        known = None
    bounces = known.bounces + 1 if known else 1
    first_at = known.first_at if known else db.now
    if worn_out(bounces, first_at, db.now):
        await _give_up(db, address_hash)
        return
    await db.run(
        sql.keep_soft_bounce, address_hash=address_hash, bounces=bounces, first_at=first_at
    )


async def _give_up(db: Db, address_hash: bytes) -> None:
    if not await _is_known(db, address_hash):
        return
    await mail.suppress(db, Actor.system(), address_hash, Scope.all, Why.bounced)
    await db.run(sql.drop_soft_bounce, address_hash=address_hash)


async def _is_known(db: ReadDb, address_hash: bytes) -> bool:
    """Say whether anything is kept under an address; its owners are held.

    Of somebody who had her fingerprint deleted with everything else, a report that comes late
    brings it back no more.
    """
    return await db.one(sql.address_is_known, bool, address_hash=address_hash)


async def _complained(db: Db, proof: Proof, complaint: Complaint) -> None:
    """Take a complaint for an objection: no purpose is mailed any more, until she says yes again.

    Service messages still pass: the way to her own data stays open.
    """
    customer = await customers.by_hash(db, proof.address_hash)
    if customer is not None:
        # Before any range, as a withdrawal does: she may press the other button at this moment.
        await consent.hold(db, customer.id)
    origin = await _origin(db, proof)
    if origin is not None:
        await campaigns.complained(db, origin.id, proof.address_hash)
        await _count(db, origin, "complaint")
    by = Actor.system()
    everything = Stop(db.business_id, proof.address_hash, None)
    said = {"feedback": complaint.kind[:40]}
    await access.leave(db, everything, method=Method.complaint, said=said)
    await mail.suppress(db, by, proof.address_hash, Scope.marketing, Why.complained)


async def _leaving(db: Db, wish: Unsubscribe, proof: Proof | None) -> Step:
    """Do as the one-click link does where the wish is proven; else staff are shown it."""
    stop = await _stop(db, wish, proof)
    if stop is not None:
        return Step("unsubscribe", act=lambda: _left(db, stop, proof, wish))
    writer = await _writer(db, wish.sender, [wish.in_reply_to], proof)
    if writer is None:
        return Step("unproven")
    new = NewReply(
        subject=ASKS_TO_LEAVE, text="", message_id=wish.message_id, in_reply_to=wish.in_reply_to
    )
    return Step("wish", act=lambda: _kept(db, writer, new, wish=True))


async def _stop(db: ReadDb, wish: Unsubscribe, proof: Proof | None) -> Stop | None:
    if proof is not None and proof.stop is not None:
        return proof.stop
    if proof is not None and proof.sent is None:
        # A provider vouches for the wish, and not for what it was about.
        return Stop(db.business_id, proof.address_hash, None)
    sent = proof.sent if proof else referred([wish.in_reply_to])
    if sent is None:
        return None
    if proof is None and fingerprint(db.keys, db.business_id, wish.sender) != sent.address_hash:
        # Somebody else answered a mail that was passed on: not for her to say.
        return None
    of = Proof(sent.address_hash, sent=sent)
    origin = await _origin(db, of)
    return Stop(db.business_id, sent.address_hash, origin.code if origin else None)


async def _left(db: Db, stop: Stop, proof: Proof | None, wish: Unsubscribe) -> None:
    said = {"by": "mail" if wish.by == "mailto" else "reply"}
    await access.leave(db, stop, method=Method.one_click, said=said)
    sent = proof.sent if proof and proof.sent else referred([wish.in_reply_to])
    origin = await _origin(db, Proof(stop.address_hash, sent=sent))
    if origin is not None:
        await _count(db, origin, "unsubscribe")


async def _answer(db: Db, reply: Reply, proof: Proof | None) -> Step:
    ids = [reply.in_reply_to, *reversed(reply.references)]
    writer = await _writer(db, reply.sender, ids, proof)
    if writer is None:
        return Step("unknown_sender")
    with speaking(chosen(writer.locale) or ENGLISH):
        text = _with_attachments(reply)
    new = NewReply(
        subject=reply.subject,
        text=text,
        at=reply.at,
        message_id=reply.message_id,
        in_reply_to=reply.in_reply_to,
        references=reply.references,
    )
    return Step("reply", act=lambda: _kept(db, writer, new))


def _with_attachments(reply: Reply) -> str:
    if not reply.attachments:
        return reply.text
    names = ", ".join(f"{each.name} ({each.size:,} B)" for each in reply.attachments)
    said = gettext("Attached, and not kept: %(names)s", names=names)
    return f"{reply.text}\n\n[{said}]"


async def _kept(db: Db, writer: Customer, new: NewReply, *, wish: bool = False) -> None:
    with speaking(chosen(writer.locale) or ENGLISH):
        await customers.reply(db, writer.id, new, wish=wish)


async def _writer(
    db: ReadDb, sender: str, message_ids: list[str], proof: Proof | None
) -> Customer | None:
    """Return who wrote: whom a token names, else whose mail is answered, else whose address it is.

    The address alone proves little, so nothing but her own words is kept on its word.
    """
    sent = proof.sent if proof else referred(message_ids)
    if sent is not None:
        found = await customers.by_hash(db, sent.address_hash)
        if found is not None:
            return found
    try:
        return await customers.by_address(db, sender)
    except NotAnAddress:
        return None


async def _origin(db: ReadDb, proof: Proof) -> Origin | None:
    if proof.sent is None or proof.sent.way is Way.service:
        return None
    return await campaigns.origin(db, proof.sent.low, proof.sent.high)


async def _count(db: Db, origin: Origin, kind: str) -> None:
    await db.run(sql.count_return, campaign_id=origin.id, kind=kind)
