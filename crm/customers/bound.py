"""Reads bound to a purpose: what it allows comes back, and nothing else.

A request names the purpose (`?purpose=support`); a key that was made for certain purposes reads for
nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from crm.customers.actions import sql
from crm.db import ReadDb
from crm.errors import Forbidden, Invalid, Problem
from crm.staff import Caller

# What the documentation of the API says of it.
BOUND = "`purpose`, by its short name, binds the reading to what that purpose allows."
REFUSED = "403 `purpose_not_allowed` where the customer does not allow it."


class PurposeNotAllowed(Forbidden):
    """The customer does not allow this purpose, so nothing of hers is shown for it."""


async def bound_to(db: ReadDb, caller: Caller, slug: str | None) -> UUID | None:
    """Return the purpose that a request reads for; None is every purpose.

    A key for one purpose need not name it. OtherPurpose for what it was not made for; Invalid for
    a purpose that there is not, and for a key of several that names none.
    """
    if slug is None:
        if len(caller.purposes) > 1:
            sentence = "This key is bound to several purposes. Say which you read for."
            raise Invalid(sentence, [Problem("purpose", sentence)])
        return next(iter(caller.purposes), None)
    purpose_id = await db.maybe(sql.purpose_called, UUID, slug=slug)
    if purpose_id is None:
        sentence = "There is no purpose with this short name."
        raise Invalid(sentence, [Problem("purpose", sentence)])
    caller.check_purpose(purpose_id)
    return purpose_id


async def allowing(
    db: ReadDb, purpose_id: UUID | None, customer_ids: Sequence[UUID]
) -> frozenset[UUID]:
    """Return who of these allows a purpose now; all of them where none is given."""
    if purpose_id is None:
        return frozenset(customer_ids)
    found = await db.many(
        sql.customers_allowing, UUID, purpose_id=purpose_id, customer_ids=list(customer_ids)
    )
    return frozenset(found)


async def check_allowed(db: ReadDb, purpose_id: UUID | None, customer_id: UUID) -> None:
    """Refuse to show a customer for a purpose that she does not allow (PurposeNotAllowed)."""
    if customer_id not in await allowing(db, purpose_id, [customer_id]):
        raise PurposeNotAllowed
