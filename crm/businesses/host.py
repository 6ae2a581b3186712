"""Which business a page belongs to: a guard reads it from the host, before anything else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from crm.above import business_of_host
from crm.businesses.actions import get
from crm.db import Database
from crm.errors import NotFound
from crm.web.reader import prefer_ours
from crm.web.transaction import LookUp


class NobodyHere(NotFound):
    """No business answers at this address. Check the address, or ask whoever gave it to you."""


async def of_host_if_any(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard what works at any host: put the business into `request.state` where there is one."""
    with suppress(NobodyHere):
        await of_host(connection, handler)


async def of_host(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard pages: put the business of the host into `request.state`, or refuse."""
    database: Database = connection.app.state.database
    business_id = await business_of_host(database, connection.headers.get("host", ""))
    if business_id is None:
        raise NobodyHere
    async with LookUp(connection, handler, business_id) as db:
        business = await get(db)
    connection.scope["state"]["business_id"] = business_id
    connection.scope["state"]["business"] = business
    prefer_ours(connection, business.locale)
