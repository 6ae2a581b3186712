"""A program, a member and a customer who send requests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import Customer, NewCustomer, Source
from crm.db import Database
from crm.events import Actor
from tests.customers import site

SYSTEM = Actor.system()


@pytest.fixture
async def nora(database: Database, business: Business) -> Customer:
    """A customer."""
    new = NewCustomer(address="Nora@Example.com", name="Nora Lindqvist", locale="en")
    async with database.write(business.id) as db:
        return await customers.add(db, SYSTEM, new, source=Source.api)


@pytest.fixture
async def foreign(database: Database, other_business: Business) -> Customer:
    """A customer of another business, of whom this one must see nothing."""
    new = NewCustomer(address="zoe@example.com", name="Zoe Foreign", external_id="z-1")
    async with database.write(other_business.id) as db:
        return await customers.add(db, SYSTEM, new, source=Source.api)


@pytest.fixture
async def api(database: Database, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    """A program with every scope."""
    async with site.client(database, business, key=site.caller()) as client:
        yield client


@pytest.fixture
async def console(database: Database, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    """An owner at the console."""
    who = await site.member(database, business)
    async with site.client(database, business, who=who) as client:
        yield client


@pytest.fixture
async def portal(
    database: Database, business: Business, nora: Customer
) -> AsyncIterator[httpx2.AsyncClient]:
    """Nora at her own pages."""
    async with site.client(database, business, me=nora) as client:
        yield client
