"""A key does what its scopes say, on every route of the API: with all the others, nothing."""

from __future__ import annotations

from uuid import UUID

from litestar.types import ASGIApp

from crm.businesses import Business
from crm.db import Database
from crm.staff import Scope
from crm.web.openapi import scopes_of
from tests import make
from tests.browser import Browser
from tests.routes import ROUTES

API = [route for route in ROUTES if route.path.startswith("/v1/")]


async def test_every_route_refuses_a_key_without_its_scope(
    site: ASGIApp, database: Database, business: Business
) -> None:
    """Before it reads anything: whatever the ids and the body, the scope is named and no more."""
    wrong = []
    async with Browser(site, business.origin) as program:
        for scope in Scope:
            others = [each for each in Scope if each is not scope]
            await make.let_in_by_key(database, business, program, others)
            for route in API:
                if scope not in scopes_of(route.handler):
                    continue
                path = route.path.format(**dict.fromkeys(route.types, UUID(int=1)))
                answer = await program.request(route.method, path, content=b"{")
                said = answer.json()
                told = (answer.status_code, said["code"], scope in said["detail"])
                if told != (403, "scope_missing", True):
                    wrong.append((str(route), answer.text))

    assert not wrong
    # What has none is named in `test_scopes_are_named`.
    assert {each for route in API for each in scopes_of(route.handler)} <= set(Scope)
