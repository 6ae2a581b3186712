"""Places of a customer's week that are free again, because what was to come in them does not."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from crm.db import Db

# So many customers' places are offered by one job.
_AT_ONCE = 200


def offer_places(db: Db, customer_ids: Sequence[UUID]) -> None:
    """Have them offered to what waits for these customers, once this is committed.

    Whoever had none in a place gets none by it: their weeks are judged anew.
    """
    for first in range(0, len(customer_ids), _AT_ONCE):
        theirs = map(str, customer_ids[first : first + _AT_ONCE])
        db.wake("campaigns.give_places", str(db.business_id), *theirs)
