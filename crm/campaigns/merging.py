"""What becomes of the campaigns of two records of one person: each issue once, and fewer mails."""

from __future__ import annotations

from uuid import UUID

from crm.db import Db, Statements

sql = Statements("campaigns")


async def take_over(db: Db, kept_id: UUID, gone_id: UUID) -> None:
    """Leave out of the kept record's mails what the other one got; a digest of either is of both.

    What was sent stays under the number it went to: the counts of a campaign are its rows.
    """
    await db.run(sql.exclude_merged, customer_id=gone_id, merged_into=kept_id)
    await db.run(sql.take_digest_choices, customer_id=gone_id, merged_into=kept_id)
    await db.run(sql.forget_digest_choices, customer_id=gone_id)
