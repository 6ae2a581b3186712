"""Why mails of a campaign did not arrive, counted by the domain of their addresses.

A domain of its own may name one person. So what concerns only a few is not shown, and is dropped a
month after the campaign.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from crm.db import Db, ReadDb, Statements

sql = Statements("campaigns")

# Fewer customers than these are nobody's business but their own.
FEW = 5
_SHOWN = 50
_OVER = timedelta(days=30)


class Trouble(Struct, frozen=True, kw_only=True):
    """How many mails to one domain failed, are uncertain or came back, for one reason."""

    domain: str
    kind: str
    reason: str
    customers: int


async def count(
    db: Db, campaign_id: UUID, customer_ids: Sequence[UUID], kinds: Sequence[str],
    reasons: Sequence[str],
) -> None:  # fmt: skip
    """Count what became of some customers' mails, in the transaction that writes it."""
    await db.run(
        sql.count_troubles,
        campaign_id=campaign_id,
        customer_ids=list(customer_ids),
        kinds=list(kinds),
        reasons=[reason[:50] or "unknown" for reason in reasons],
    )


async def troubles(db: ReadDb, campaign_id: UUID) -> list[Trouble]:
    """Return what went wrong with domains of more than a few customers, the most first."""
    return await db.many(sql.troubles, Trouble, campaign_id=campaign_id, few=FEW, limit=_SHOWN)


async def forget_few(db: Db) -> None:
    """Drop what concerns only a few, of campaigns over for so long that nothing more comes back."""
    await db.run(sql.forget_few_troubles, few=FEW, over_before=db.now - _OVER)
