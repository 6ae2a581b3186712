"""What two records of one person allow together: a no of either counts, and no yes moves.

A yes was said for one mailbox, so that of the record that goes ends as at a change of address.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.consent.actions import hold, hold_ranges, states, withdraw
from crm.consent.deciding import Circumstances, Wish, decide
from crm.consent.model import Consent
from crm.consent.states import AUTHORISES, OPTED_OUT, Method, Status
from crm.db import Db
from crm.events import Actor
from crm.ids import instant_of


class Merging(Struct, frozen=True, kw_only=True):
    """What comes of the purposes of two records, each by its number."""

    # On in the kept record, and off from then on: the other said no to it, or its yes had ended.
    ends: list[UUID]
    # Off as well, though the kept record was never on: nobody but she can start it.
    closed: list[UUID]
    # On in the record that goes alone; they do not move.
    left_behind: list[UUID]
    # On in the kept record, and still.
    stays: list[UUID]


def merging(
    kept: Sequence[Consent],
    gone: Sequence[Consent],
    now: datetime,
    *,
    unless_since: datetime | None = None,
) -> Merging:
    """Judge by the states of two records what both of them permit.

    What she decided for the kept record after `unless_since` stands, unless the other said no after
    that too.
    """
    mine = {each.purpose_id: each for each in kept}
    noes = {
        each.purpose_id
        for each in gone
        if each.status in OPTED_OUT
        and not _left(each)
        and not _answered(mine.get(each.purpose_id), each, unless_since)
    }
    on = {each.purpose_id for each in kept if each.authorises(now)}
    off = {each.purpose_id for each in kept if each.status in OPTED_OUT}
    standing = {each.purpose_id for each in gone if each.authorises(now)}
    return Merging(
        ends=sorted(each for each in noes - off if each in mine and _stands(mine[each])),
        closed=sorted(each for each in noes - off if each not in mine or not _stands(mine[each])),
        left_behind=sorted(standing - on),
        stays=sorted(on - noes),
    )


async def merge(
    db: Db, by: Actor, kept_id: UUID, gone_id: UUID, *, unless_since: datetime | None = None
) -> Merging:
    """Let the kept record allow at most what both did, and end every yes of the one that goes.

    Both rows are held. Waiting deliveries are taken out in this transaction (promise 2). What she
    decided for the kept one after `unless_since` stands.
    """
    for customer_id in sorted((kept_id, gone_id)):
        await hold(db, customer_id)
    await hold_ranges(db, kept_id, gone_id)
    kept, gone = await states(db, kept_id), await states(db, gone_id)
    judged = merging(kept, gone, db.now, unless_since=unless_since)
    said = {each.purpose_id: each for each in gone}
    for purpose_id in sorted((*judged.ends, *judged.closed)):
        why = {"record": str(gone_id), "decision": str(said[purpose_id].event_id)}
        await withdraw(db, by, kept_id, purpose_id, method=Method.merge, said=why)
    for each in gone:
        if _stands(each):
            wish = Wish(gone_id, each.purpose_id, Status.expired, None)
            into = Circumstances(Method.merge, evidence={"record": str(kept_id)})
            await decide(db, by, wish, into)
    return judged


def _left(state: Consent) -> bool:
    """Say whether it was a yes that this very merge has ended, as a journal told again.

    Of what was done the ends come before the merge, so that is how a replay finds them.
    """
    return state.status is Status.expired and state.method is Method.merge


def _answered(mine: Consent | None, no: Consent, since: datetime | None) -> bool:
    if since is None or mine is None:
        return False
    return instant_of(no.event_id) <= since < instant_of(mine.event_id)


def _stands(state: Consent) -> bool:
    return state.status in AUTHORISES
