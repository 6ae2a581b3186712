"""A test's own businesses among those of others: what jobs find above one is theirs."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from crm.db import Database, Statement

T = TypeVar("T")

_ALL = 1_000_000


class Alone(Database):
    """A database that knows of these businesses only: jobs would work on those of other tests too.

    Above all where the clock was moved: they would end what others rest on.
    """

    def __init__(self, like: Database, *business_ids: UUID) -> None:
        super().__init__(like.connections, like.keys, like.wake, like.clock, like.keep)
        self.business_ids = business_ids

    async def above(self, statement: Statement, to: type[T], **params: Any) -> list[T]:
        """Leave out the others, of all at once: of a page that lacks them nobody turns over."""
        if "limit" in params:
            params["limit"] = _ALL
        found = await super().above(statement, to, **params)
        return [each for each in found if getattr(each, "business_id", each) in self.business_ids]
