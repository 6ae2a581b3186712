"""The ledger for staff: how far it is sealed, its keys and origins, and what the monitor found."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from crm.db import ReadDb
from crm.ledger.room import room_of
from crm.staff import Right
from crm.staff.auth import may
from crm.web.pages import page


@get("/ledger", guards=[may(Right.see_audit)])
async def get_ledger(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show the ledger with its alarms."""
    return page("ledger/pages/room.html", room=await room_of(db))


handlers = [get_ledger]
