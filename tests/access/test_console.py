"""The form to copy into another site sends exactly what the hosted one does."""

from __future__ import annotations

import functools
import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from litestar import Router
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from crm.access import console
from crm.businesses import Business
from crm.businesses.host import of_host
from crm.db import Database
from crm.ids import opaque
from crm.staff import Member, Role
from tests.access.conftest import Asking, Clock, Rows, application, browser


def _staff(role: Role) -> Any:
    who = Member(
        id=opaque(),
        address="ada@example.com",
        name="Ada",
        role=role,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        connection.scope["state"]["who"] = who

    return signed_in


def _console(moved: Database, business: Business, role: Role) -> httpx2.AsyncClient:
    return browser(application(moved, _rooms(role)), business)


@functools.cache
def _rooms(role: Role) -> Router:
    return Router("/staff", route_handlers=console.handlers, guards=[of_host, _staff(role)])


async def test_it_works_from_another_site(
    *, moved: Database, business: Business, asking: Asking, clocked: Clock, rows: Rows
) -> None:
    async with _console(moved, business, Role.editor) as client:
        page = await client.get("/staff/sign-up-form?purpose=letter")
        copied = re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)
        assert copied is not None
        form = html.unescape(copied[1])
        assert f'action="{business.origin}/sign-up"' in form
        assert html.escape(asking.letter_notice.text) in form
        assert asking.offers_notice.text not in form
        assert "checked" not in form
        fields = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]+)"', form))
        # Copied once, and posted for months.
        clocked.ahead += timedelta(days=90)
        answer = await client.post(
            "/sign-up",
            data=fields | {"purpose": "letter", "email": "nora@example.com"},
            headers={"origin": "https://bakery.example", "sec-fetch-site": "cross-site"},
        )

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-up/mailed")
    assert await rows.count("signup") == 1


@pytest.mark.parametrize("role", [Role.viewer, Role.care])
async def test_it_needs_the_right_to_edit_purposes(
    moved: Database, business: Business, role: Role
) -> None:
    async with _console(moved, business, role) as client:
        assert (await client.get("/staff/sign-up-form")).status_code == 403


async def test_without_a_notice_there_is_nothing_to_copy(
    moved: Database, business: Business
) -> None:
    async with _console(moved, business, Role.owner) as client:
        page = await client.get("/staff/sign-up-form")

    assert page.status_code == 200
    assert "Nothing to sign up for yet" in page.text
