"""The feed: what happened, newest first, for programs."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from crm import events
from crm.db import ReadDb
from crm.events import Event
from crm.web.paging import Cursors, Slice, capped, link


class After(Struct, frozen=True):
    """The last event of a page."""

    id: UUID


# A scope by name: the guard of the router asks for it, this domain lies below the one of keys.
@get(
    "/events",
    opt={"scope": "events:read"},
    tags=["Events"],
    summary="Page through what happened",
    description="The newest first: who did what, when, and to whom. The Link header leads on.",
)
async def get_events(
    db: NamedDependency[ReadDb],
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[Slice[Event]]:
    """Answer with a page of events; the `Link` header leads to older ones."""
    shown = capped(limit)
    cursors = Cursors(db.keys, db.business_id, "events")
    begun = cursors.open(after, After)
    found = await events.page(db, before=begun.id if begun else None, limit=shown + 1)
    cut = cursors.cut(found, shown, lambda event: After(event.id))
    return Response(cut, headers=link("/v1/events", cut.after, limit=shown))


handlers = [get_events]
