"""How many consents of each version and state a purpose has, known without reading them.

PostgreSQL tallies each change in the statement that makes it, by rows that add up, so that nobody
who decides waits for another; here many rows become one.
"""

from __future__ import annotations

from crm.db import Db, Statements
from crm.log import logger

sql = Statements("consent")

_log = logger(__name__)

# So many are added up while somebody asks.
MANY = 100
# So many are put into one in one transaction.
_AT_ONCE = 10_000


async def sum_up(db: Db, many: int = MANY) -> int:
    """Put the next rows together where a number has more than so many; return how many went.

    Two at once take different rows, and what was put together is let be until it grows again.
    """
    return await db.one(sql.sum_up_tally, int, many=many, limit=_AT_ONCE)


async def recount(db: Db) -> int:
    """Count all consents of the business and put right what was tallied wrong; return how much was.

    Nothing is, unless somebody changed rows past PostgreSQL's triggers. Two at once wait.
    """
    await db.run(sql.hold_recount)
    wrong = await db.one(sql.recount_tally, int)
    if wrong:
        _log.warning("tally_was_wrong", business=str(db.business_id), numbers=wrong)
    return wrong
