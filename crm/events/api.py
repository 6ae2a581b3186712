"""What happened, for programs: the newest first, or as a stream that is followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from crm import events
from crm.db import ReadDb
from crm.events import ActorKind, Event
from crm.events.model import DECISIONS, LOOKS, NAMING, Numbered
from crm.web.paging import Cursors, Slice, capped, link


class After(Struct, frozen=True):
    """The last event of a page."""

    id: UUID


class Place(Struct, frozen=True):
    """How far the stream was read."""

    number: int


class Asking(Protocol):
    """The program that asks, which a domain above knows."""

    def allows(self, scope: str) -> bool:
        """Say whether its key has this scope."""


class Listing(Protocol):
    """What records that a list named customers; a domain above knows how."""

    async def listed(self, customer_ids: Sequence[UUID]) -> None:
        """Record a look at each."""


# A scope by name: the guard of the router asks for it, this domain lies below the one of keys.
@get(
    "/events",
    opt={"scope": "events:read"},
    tags=["Events"],
    summary="Page through what happened",
    description="The newest first: who did what, when, and to whom. The Link header leads on. "
    "With `order=oldest` it is the stream that webhooks tell, under the same ids and in the same "
    "order, without looks: nothing is ever put in before what was read. There every answer has a "
    "cursor, also an empty one: ask again with it for what came since. Which customer it was is "
    "said to a key that has `customers:read` as well, and about what she decided to one with "
    "`consents:read` besides; each customer who is named sees that she was.",
)
async def get_events(
    db: NamedDependency[ReadDb],
    caller: NamedDependency[Any],
    looks: NamedDependency[Any],
    *,
    order: FromQuery[Literal["newest", "oldest"]] = "newest",
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[Slice[Event]]:
    """Answer with a page of events; the `Link` header leads to older ones, or to newer."""
    shown = capped(limit)
    cut = await (_stream if order == "oldest" else _trail)(db, after, shown)
    cut = msgspec.structs.replace(cut, rows=[_told(each, caller) for each in cut.rows])
    listing: Listing = looks
    # That somebody looked is no new look: else each page would fill the next.
    await listing.listed(
        [each.customer_id for each in cut.rows if each.customer_id and each.kind not in LOOKS]
    )
    query: dict[str, str | int] = {"limit": shown}
    if order == "oldest":
        query["order"] = order
    return Response(cut, headers=link("/v1/events", cut.after, **query))


async def _trail(db: ReadDb, after: str | None, shown: int) -> Slice[Event]:
    cursors = Cursors(db.keys, db.business_id, "events")
    begun = cursors.open(after, After)
    found = await events.page(db, before=begun.id if begun else None, limit=shown + 1)
    return cursors.cut(found, shown, lambda event: After(event.id))


async def _stream(db: ReadDb, after: str | None, shown: int) -> Slice[Event]:
    """Read on; the cursor is there at the end too, for whoever asks again later."""
    cursors = Cursors(db.keys, db.business_id, "events/oldest")
    begun = cursors.open(after, Place) or Place(0)
    found = await events.following(db, after=begun.number, limit=shown)
    reached = Place(found[-1].number) if found else begun
    return Slice([_plain(each) for each in found], cursors.seal(reached))


def _plain(event: Numbered) -> Event:
    """Leave out the number: the cursor has it, sealed."""
    return Event(**{name: getattr(event, name) for name in Event.__struct_fields__})


def _told(event: Event, caller: Asking) -> Event:
    """Leave out whom an event is about, and what was decided, where the key may not read that."""
    names_her = event.customer_id is not None or event.kind in NAMING
    if not names_her and event.actor_kind is not ActorKind.customer:
        return event
    known = caller.allows("customers:read")
    decided = event.kind.value.startswith(DECISIONS)
    if known and (caller.allows("consents:read") or not decided):
        return event
    by_her = event.actor_kind is ActorKind.customer and not known
    return msgspec.structs.replace(
        event,
        actor_id=None if by_her else event.actor_id,
        actor_name="" if by_her else event.actor_name,
        customer_id=event.customer_id if known else None,
        ref=None,
        reason="",
    )


handlers = [get_events]
