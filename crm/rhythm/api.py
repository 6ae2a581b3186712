"""How much mail a customer wants, for programs to read: only she says it."""

from __future__ import annotations

from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers, rhythm
from crm.db import ReadDb
from crm.rhythm import Attention
from crm.staff.auth import Looks, needs


@get(
    "/customers/{id:uuid}/rhythm",
    guards=[needs("customers:read")],
    tags=["Customers"],
    summary="Read how much mail a customer wants",
    description="Her limit a week over all purposes, until when she wants none, and her week so "
    "far: Monday to Monday by her clock. `deferred` are campaigns that wait for her because of it; "
    "one that `lapses` is too old before she may be mailed again. `digests` are those she could "
    "choose, and whether she did. Only she changes any of it. The customer can see this look.",
)
async def get_rhythm(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> Attention:
    """Read how much mail a customer wants."""
    await customers.get(db, id)
    told = await rhythm.attention(db, id)
    await looks.record([id])
    return told


handlers = [get_rhythm]
