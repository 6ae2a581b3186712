"""What would come of a list: worked through as any other, and nothing of it remains."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crm import imports
from crm.businesses import Business
from crm.db import Database, no_wake
from crm.events import Actor
from crm.imports import State, jobs, working
from crm.settings import Settings
from tests.imports.lists import HEADER, LEFT, SLUG, held, letter, many, row, rows, tally
from tests.staff.site import Browser

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_CSV = {"content-type": "text/csv"}
_TRY = "/v1/imports?purpose=letter&only_try=true"
_LIST = (
    HEADER
    + row("ada@example.com", "Ada")
    + row("bo@example.com", left=LEFT)
    + row("cy@example.com", gone=LEFT)
    + row("ada@example.com")
    + row("nobody")
)
_BOOKS = ("customer", "consent", "consent_record", "suppression", "ledger_leaf", "event")


async def _books(database: Database, business: Business) -> dict[str, int]:
    return {table: await rows(database, business.id, table) for table in _BOOKS}


async def test_it_works(program: Browser, database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    before = await _books(database, business)

    answer = await program.post(_TRY, content=_LIST, headers=_CSV)

    assert answer.json()["only_try"]
    path, received = answer.headers["location"], answer.json()["id"]
    [waiting] = await _all(database, business)
    await imports.work_waiting(database, business.id, waiting.id)
    tried = (await program.get(path)).json()
    assert (tried["id"], tried["state"], tried["rows"]) == (received, "tried", 5)
    assert [tried[name] for name in ("added", "changed", "unchanged", "rejected")] == [3, 0, 1, 1]
    assert [tried[name] for name in ("given", "withdrawn", "suppressed")] == [1, 1, 1]
    assert {each["outcome"]: each["count"] for each in tried["reasons"]} == {
        "noted": 1,
        "rejected": 1,
    }
    report = (await program.get(f"{path}/report")).text.splitlines()
    assert len(report) == 2
    after = await _books(database, business)
    assert after == before | {"event": before["event"] + 1}, "the try itself, and nothing else"

    started = await program.post(f"{path}/start")

    assert (started.status_code, started.json()["state"]) == (202, "waiting")
    await imports.work_waiting(database, business.id, waiting.id)
    done = (await program.get(path)).json()
    assert (done["state"], done["only_try"], done["added"]) == ("done", False, 3)
    assert (await held(database, notice, business.id, "ada@example.com")).mailable
    assert await rows(database, business.id, "import_file") == 0
    again = await program.post(f"{path}/start")
    assert (again.status_code, again.json()["code"]) == (409, "not_tried")


async def _all(database: Database, business: Business) -> list[imports.Import]:
    async with database.read(business.id) as db:
        return await imports.page(db)


async def test_who_left_after_the_try_has_left(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        tried = await imports.receive(
            db, Actor.system(), notice.purpose_id, "june.csv", many(2).encode(), only_try=True
        )
    await imports.work_waiting(database, business.id, tried.id)
    with TemporaryDirectory() as folder:
        left = Path(folder) / "left.csv"
        left.write_text(HEADER + row("reader0@example.com", left=LEFT))
        await imports.work_file(database, business.id, Actor.system(), SLUG, left)

    async with database.write(business.id) as db:
        await imports.start(db, Actor.system(), tried.id)
    done = await imports.work_waiting(database, business.id, tried.id)

    assert done is not None
    assert tally(done) == (1, 0, 1, 0)
    assert not (await held(database, notice, business.id, "reader0@example.com")).mailable


async def test_the_command_keeps_nothing(database: Database, business: Business) -> None:
    await letter(database, business.id)
    before = await rows(database, business.id, "customer")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_text(_LIST)
        tried = await imports.work_file(
            database, business.id, Actor.system(), SLUG, path, only_try=True
        )

    assert (tried.state, tally(tried)) == (State.tried, (3, 0, 1, 1))
    assert await rows(database, business.id, "customer") == before


async def test_one_that_fails_half_way_says_nothing(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of its lines is kept as it goes, and goes with it."""
    monkeypatch.setattr(working, "BATCH", 3)
    await letter(database, business.id)
    seen: list[int] = []

    def fails(progress: imports.Progress) -> None:
        seen.append(progress.rows_read)
        raise RuntimeError

    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        path.write_text(f"{_LIST},No address,,,,,,\n")
        with pytest.raises(RuntimeError):
            await imports.work_file(
                database, business.id, Actor.system(), SLUG, path, only_try=True, watch=fails
            )

    assert seen == [3], "half of them"
    [failed] = await _all(database, business)
    assert failed.state is State.failed
    assert await rows(database, business.id, "import_row") == 0


async def test_after_a_week_its_list_goes(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        tried = await imports.receive(
            db, Actor.system(), notice.purpose_id, "june.csv", many(2).encode(), only_try=True
        )
        now = db.now
    await imports.work_waiting(database, business.id, tried.id)
    settings = Settings(link_keys="", storage_keys="", pepper="")
    states = []
    for days in (6, 8):
        at = now + timedelta(days=days)
        later = Database(database.connections, database.keys, no_wake, partial(max, at, at))
        await jobs.sweep({"database": later, "settings": settings})
        async with database.read(business.id) as read:
            states.append((await imports.get(read, tried.id)).state)

    assert states == [State.tried, State.failed]
    assert await rows(database, business.id, "import_file") == 0


async def test_the_console_shows_it_before_anything_is_written(
    owner: Browser, database: Database, business: Business
) -> None:
    await letter(database, business.id)
    before = await rows(database, business.id, "customer")
    token = _CSRF.search((await owner.get("/staff/imports")).text)
    assert token
    sent = await owner.post(
        "/staff/imports",
        data={"csrf": token[1], "purpose": "letter", "only_try": "yes"},
        files={"file": ("june.csv", _LIST.encode(), "text/csv")},
    )
    path = sent.headers["location"]
    [waiting] = await _all(database, business)
    await imports.work_waiting(database, business.id, waiting.id)

    page = (await owner.get(path)).text

    assert "Nothing of this was kept yet." in page
    assert "By reason" in page
    assert "not taken in</span>" in page
    assert await rows(database, business.id, "customer") == before
    started = await owner.post(f"{path}/start", data={"csrf": token[1]})
    assert started.headers["location"] == path
    await imports.work_waiting(database, business.id, waiting.id)
    assert await rows(database, business.id, "customer") == before + 3
