"""What happened, once, in order; and who looked at whom.

Owns `event`, to which rows are only ever added, and their stream: `feed`, `feed_head` and
`event_unread`. A look is committed before the answer leaves
(promise 11), so it is recorded in a transaction of its own.
"""

from crm.events.actions import (
    KEPT,
    end,
    export,
    following,
    forget,
    leap,
    look,
    looks_at,
    number,
    page,
    place,
    record,
    record_each,
    told,
)
from crm.events.model import Actor, ActorKind, Event, Kind, Look, Numbered

__all__ = [
    "KEPT",
    "Actor",
    "ActorKind",
    "Event",
    "Kind",
    "Look",
    "Numbered",
    "end",
    "export",
    "following",
    "forget",
    "leap",
    "look",
    "looks_at",
    "number",
    "page",
    "place",
    "record",
    "record_each",
    "told",
]
