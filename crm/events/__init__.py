"""What happened, once, in order; and who looked at whom.

Owns `event`, to which rows are only ever added. A look is committed before the answer leaves
(promise 11), so it is recorded in a transaction of its own.
"""

from crm.events.actions import KEPT, end, export, forget, look, looks_at, page, record
from crm.events.model import Actor, ActorKind, Event, Kind, Look

__all__ = [
    "KEPT",
    "Actor",
    "ActorKind",
    "Event",
    "Kind",
    "Look",
    "end",
    "export",
    "forget",
    "look",
    "looks_at",
    "page",
    "record",
]
