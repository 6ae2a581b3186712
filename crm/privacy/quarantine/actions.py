"""How a row leaves its quarantine: by evidence, let go by staff, or because its time is over.

Let go, it is deleted: with the record where nothing but such rows brought it. Who is known by
anything else stays, and so does every suppression. A right list may bring her again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from crm import consent, customers, events, imports
from crm.consent import Circumstances, ConsentEvent, Form, Method, Question
from crm.db import Db, Statements
from crm.events import Actor, Kind
from crm.imports import quarantine
from crm.imports.quarantine import Over
from crm.privacy.brought.taking_over import RecordFrozen
from crm.privacy.undoing.carrying_out import unmake

sql = Statements("privacy")


class Shown(Struct, frozen=True, kw_only=True):
    """What was shown to her, when she agreed, and what of it there is to show."""

    notice_id: UUID
    at: datetime
    evidence: dict[str, Any] = field(default_factory=dict)
    form: Form | None = None


async def release(
    db: Db, by: Actor, import_id: UUID, customer_id: UUID, shown: Shown
) -> ConsentEvent:
    """Record the yes that a row asked for, now that there is evidence; refused as any other yes.

    The text must accept the kind (EvidenceNotAccepted); a no and a suppression stand.
    """
    row = await quarantine.row_of(db, import_id, customer_id)
    how = Circumstances(
        Method.api,
        at=shown.at,
        evidence=shown.evidence,
        form=shown.form,
        request=str(import_id),
    )
    return await consent.give(db, by, customer_id, Question(row.purpose_id, shown.notice_id), how)


async def let_go(db: Db, by: Actor, import_id: UUID, customer_id: UUID) -> None:
    """Delete one row now; RecordFrozen where nothing of hers may be deleted (Art. 18 GDPR)."""
    held = await customers.hold(db, customer_id)
    row = await quarantine.row_of(db, import_id, customer_id)
    if held is not None and held.restricted_at is not None:
        raise RecordFrozen
    await end(db, over=Over(customer_id, row.purpose_id, row.ends_at))
    await _tell(db, by, import_id, 1)


async def let_all_go(db: Db, by: Actor, import_id: UUID) -> int:
    """Delete all rows of an import that are in quarantine, by a job; return how many."""
    await imports.get(db, import_id)
    ended = await quarantine.end_all(db, import_id)
    if ended:
        await _tell(db, by, import_id, ended)
    return ended


async def end(db: Db, *, over: Over) -> None:
    """Delete one row, and the record where nothing but such rows is known of her.

    Her record is held first, and each look comes after it: whoever decided in this very moment has
    committed by then, and stays.
    """
    held = await customers.hold(db, over.customer_id)
    if held is not None and held.restricted_at is not None:
        return
    if not await quarantine.leave(db, over):
        return
    silenced = await db.maybe(
        sql.brought_by_imports_alone,
        bool,
        customer_id=over.customer_id,
        purpose_id=over.purpose_id,
    )
    if silenced is not None:
        await unmake(db, over.customer_id, silenced=silenced)


async def _tell(db: Db, by: Actor, import_id: UUID, rows: int) -> None:
    said = f"{rows} rows" if rows > 1 else "1 row"
    await events.record(db, by, Kind.import_rows_let_go, ref=import_id, reason=said)
