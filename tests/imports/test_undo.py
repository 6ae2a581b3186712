"""Undo is asked for by API, console and command; what it does is tested in tests/privacy."""

from __future__ import annotations

from crm.businesses import Business
from crm.db import Database
from tests.commands import SECRETS, crm
from tests.conftest import Cluster
from tests.imports.lists import letter, many, rows, take
from tests.staff.site import Browser


async def test_a_program_has_it_undone(
    program: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    done = await take(database, business.id, many(2))
    path = f"/v1/imports/{done.id}"

    answer = await program.post(f"{path}/undo")

    assert (answer.status_code, answer.json()["state"]) == (202, "undoing")
    assert answer.headers["location"] == path
    again = await program.post(f"{path}/undo")
    assert (again.status_code, again.json()["code"]) == (409, "not_done")


async def test_staff_have_it_undone(owner: Browser, database: Database, business: Business) -> None:
    await letter(database, business.id)
    done = await take(database, business.id, many(2))
    path = f"/staff/imports/{done.id}"

    sent = await owner.fill(path, f"{path}/undo")

    assert sent.headers["location"] == path
    page = (await owner.get(path)).text
    assert "It is being undone." in page
    assert "Undo all of it" not in page


async def test_the_command_undoes_it_at_once(
    database: Database, business: Business, shared_cluster: Cluster, redis_url: str
) -> None:
    await letter(database, business.id)
    done = await take(database, business.id, many(3))
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}
    command = ("undo-import", str(done.id), f"--business={business.id}")

    status, out, err = await crm(*command, **urls | SECRETS)

    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "Undone: 3 of 3 customers removed."
    assert await rows(database, business.id, "consent") == 0
    status, _, err = await crm(*command, **urls | SECRETS)
    assert (status, err) == (2, "crm: Only an import that is done can be undone.\n")
