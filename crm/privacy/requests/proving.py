"""How it is known who asks: by a link to her mailbox, or by a member's word; and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import customers
from crm.access import credentials
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind
from crm.ids import secret
from crm.privacy.requests import wording
from crm.privacy.requests.actions import get, held, step
from crm.privacy.requests.model import NoAddressToAnswer, Proof, Request, What
from crm.privacy.requests.whose import recipient, recipients
from crm.tokens import BadLink

sql = Statements("privacy")

# A letter may lie in a mailbox over a holiday; a new link can be sent at any time.
LINK_LASTS = timedelta(days=7)


class _Mailed(Struct, frozen=True):
    request_id: UUID
    mailed_hash: bytes


async def send_link(db: Db, by: Actor, request_id: UUID) -> None:
    """Mail a link to the address that asked: whoever opens it has that mailbox (Art. 12(6)).

    It proves nothing any more once her record has another address, or the one that asked leads to
    it no more. Refuses with NoAddressToAnswer where there is no address.
    """
    request = await held(db, request_id)
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    until = db.now + LINK_LASTS
    to = await recipient(db, request)
    if to is None:
        raise NoAddressToAnswer
    await wording.identity(db, request, to, token=token, until=until)
    await db.run(
        sql.keep_link,
        request_id=request_id,
        link_hash=credentials.fingerprint(token),
        mailed_hash=_hash(db, to),
        expires_at=until,
    )
    await step(db, by, request_id, What.link_sent)


async def of_link(db: ReadDb, token: str) -> Request:
    """Return the request that a link is about, or refuse with BadLink.

    While she is written to at the mailbox that it was mailed to: another's is no proof.
    """
    credentials.check_token(db.business_id, token)
    hashed = credentials.fingerprint(token)
    found = await db.maybe(sql.request_of_link, _Mailed, link_hash=hashed)
    if found is None:
        raise BadLink
    request = await get(db, found.request_id)
    if found.mailed_hash not in {_hash(db, each) for each in await recipients(db, request)}:
        raise BadLink
    return request


async def prove(db: Db, token: str) -> Request:
    """Take it as proved whose mailbox it is: the secret came back from there."""
    request = await of_link(db, token)
    if request.customer_id is not None:
        # What waits for her address to be put back must ask anew whose mailbox it was.
        await customers.hold(db, request.customer_id)
        request = await of_link(db, token)
    await held(db, request.id)
    await db.run(sql.prove_request, request_id=request.id, proof=Proof.mailbox)
    # Nobody is signed in here; that it is she is what the step says.
    await step(db, Actor(ActorKind.customer), request.id, What.proved)
    return await get(db, request.id)


async def vouch(db: Db, by: Actor, request_id: UUID) -> None:
    """Take a member's word that they know who asks; the log names the member."""
    await held(db, request_id)
    if await db.run(sql.prove_request, request_id=request_id, proof=Proof.person):
        await step(db, by, request_id, What.vouched)


async def unprove(db: Db, by: Actor, customer_id: UUID, since: datetime) -> int:
    """Take back what her mailbox or a session proved since then, of what is open; return how many.

    They were in other hands. A member's word stands, and so does all that was asked. Her row is
    held.
    """
    found = await db.many(sql.unprove_requests, UUID, customer_id=customer_id, since=since)
    for request_id in found:
        await step(db, by, request_id, What.unproved)
    return len(found)


def _hash(db: ReadDb, to: wording.Recipient) -> bytes:
    return db.keys.address_hash(db.business_id, customers.fold(to.address))
