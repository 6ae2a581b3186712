"""What a program can ask about itself."""

from __future__ import annotations

from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from crm.staff import Caller, Scope


class ThisKey(Struct, frozen=True, kw_only=True):
    """The key a request was made with."""

    id: UUID
    name: str
    scopes: list[Scope]
    reason: str
    # All that it reads is bound to these; empty: to none.
    purposes: list[UUID]


@get(
    "/key",
    opt={"bound": True},
    sync_to_thread=False,
    tags=["Keys"],
    summary="Read which key this is",
    description="Its scopes, its declared reason, and the purposes it is bound to. Needs no scope, "
    "so it serves as a first try.",
)
def get_key(caller: NamedDependency[Caller]) -> ThisKey:
    """Say which key this is and what it may do; needs no scope, so it serves as a first try."""
    return ThisKey(
        id=caller.id,
        name=caller.name,
        scopes=[scope for scope in Scope if caller.allows(scope)],
        reason=caller.reason,
        purposes=sorted(caller.purposes),
    )


handlers = [get_key]
