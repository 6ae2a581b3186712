"""Work that a job does for one business after the other: what fails for one is nobody else's loss.

Without this, a row that cannot be worked on would stop the job at its business on each turn, and
keep every business behind it from its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from crm import above
from crm.db import Database
from crm.log import logger

_log = logger(__name__)


@contextmanager
def apart(job: str, business_id: UUID, step: str = "") -> Iterator[None]:
    """Log what fails in here, by its place and its business, and go on behind it.

    The next turn of the job tries it again.
    """
    try:
        yield
    except Exception:  # noqa: BLE001  (whatever it is, the others' work goes on)
        _log.exception("job_failed", job=job, business=str(business_id), step=step)


async def each_business(
    database: Database, job: str, act: Callable[[UUID], Awaitable[object]]
) -> None:
    """Do something for every business, each apart from the others."""
    for business_id in await above.businesses(database):
        with apart(job, business_id):
            await act(business_id)
