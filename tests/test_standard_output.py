"""Standard output is what a command has to say, and nothing of it is lost or changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.table import Table

from crm import terminal
from crm.businesses import Business
from crm.db import Database
from tests import make
from tests.commands import SECRETS, crm, crm_alone
from tests.conftest import Cluster


@pytest.fixture
def settings(own_cluster: Cluster, redis_url: str) -> dict[str, str]:
    """The variables of an installation of its own: its journal is compared with all businesses."""
    return {"CRM_DATABASE_URL": own_cluster.app_url, "CRM_REDIS_URL": redis_url} | SECRETS


@pytest.fixture
async def business(own_database: Database) -> Business:
    """The business of that installation."""
    return await make.business(own_database)


async def test_logs_go_to_standard_error(
    own_database: Database, business: Business, settings: dict[str, str], tmp_path: Path
) -> None:
    """A key is all of standard output, also when its journal has vanished."""
    add = ("key", "add", "Shop", "--reason=to try it", "--every-scope", f"--business={business.id}")
    status, key, err = await crm(*add, **settings)
    assert (status, err) == (0, "")
    listed = (await crm("key", "list", f"--business={business.id}", **settings))[1]
    (key_id,) = {word for word in listed.split() if word.count("-") == 4}
    await crm("key", "revoke", key_id, f"--business={business.id}", **settings)
    status, out, err = await crm_alone(*add, **settings | {"CRM_JOURNAL": str(tmp_path / "new")})
    assert (status, out.count("\n"), len(out)) == (0, 1, len(key))
    assert {json.loads(line)["level"] for line in err.splitlines()} == {"error"}


async def test_logs_are_as_loud_as_they_are_set(
    own_database: Database, business: Business, settings: dict[str, str]
) -> None:
    """A wake that Redis did not take is a warning."""
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 3)
        begun = [await make.campaign(db, purpose.id) for _ in range(2)]
    settings["CRM_REDIS_URL"] = "redis://127.0.0.1:1"
    told = []
    for campaign, level in zip(begun, ("warning", "error"), strict=True):
        start = ("campaign", "start", str(campaign.id), f"--business={business.id}")
        status, out, err = await crm(*start, **settings, CRM_LOG_LEVEL=level)
        assert (status, out.count("\n")) == (0, 1), err
        told.append("wake_lost" in err)
    assert told == [True, False]


async def test_names_in_brackets_stay_as_they_are(
    own_cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    """What looks like markup or an emoji in a name is part of it, in a table and in a sentence."""
    settings = {"CRM_DATABASE_URL": own_cluster.app_url, "CRM_REDIS_URL": redis_url} | SECRETS
    settings["CRM_JOURNAL"] = str(tmp_path / "journal")
    status, out, err = await crm(
        "business",
        "add",
        "--name=Corner [/b] Bakery :bread:",
        "--sender=letter@bakery.example",
        "--origin=https://bakery.example",
        "--owner=olga@bakery.example",
        "--password=a long enough password",
        **settings,
    )
    assert (status, err) == (0, "")
    assert "Added Corner [/b] Bakery :bread: as " in out
    for add in (
        ("key", "add", "Till [/b]", "--reason=[bold] it :smile:", "--every-scope"),
        ("relay", "add", "by [red] [/x]", "relay.example"),
    ):
        assert (await crm(*add, **settings))[0] == 0
    for listed, words in (
        ("business", ("  Corner [/b] Bakery :bread:  ",)),
        ("key", (" Till [/b] ", " [bold] it :smile: ")),
        ("relay", (" by [red] [/x] ",)),
    ):
        status, out, err = await crm(listed, "list", **settings)
        assert (status, err) == (0, "")
        assert all(each in out for each in words), out


async def test_lists_keep_their_brackets(
    own_database: Database, business: Business, settings: dict[str, str], tmp_path: Path
) -> None:
    """The subject of a campaign, and the name of a file whose bar is drawn."""
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.notice(db, purpose.id)
        await make.campaign(db, purpose.id, subject="[sale] Bread [/b]")
    status, out, err = await crm("campaign", "list", f"--business={business.id}", **settings)
    assert (status, err) == (0, "")
    assert " [sale] Bread [/b] " in out
    people = tmp_path / "people [bold].csv"
    people.write_text("Email Address,OPTIN_TIME,CONFIRM_TIME\n")
    given = ("import", str(people), f"--purpose={purpose.slug}", f"--business={business.id}")
    status, out, err = await crm(*given, **settings)
    assert (status, "Traceback" in err) == (0, False), err
    assert "people [bold].csv" in err


async def test_nothing_is_cut_off_in_a_pipe(
    own_database: Database, business: Business, settings: dict[str, str]
) -> None:
    """A row is a line however long it is, and so is a sentence."""
    subject, reason = "Rye bread " * 28, "because a program asks " * 8
    async with own_database.write(business.id) as db:
        purpose = await make.purpose(db)
        campaign = await make.campaign(db, purpose.id, subject=subject.strip())
    which = f"--business={business.id}"
    settings["COLUMNS"] = "40"
    status, out, _ = await crm("campaign", "list", which, **settings)
    (line,) = (line for line in out.splitlines() if str(campaign.id) in line)
    assert status == 0
    assert subject.strip() in line
    assert [word for word in line.split() if word in {"draft", "0"}] == ["draft", *"000000"]
    add = ("key", "add", "Till", f"--reason={reason.strip()}", "--every-scope", which)
    assert (await crm(*add, **settings))[0] == 0
    status, out, _ = await crm("key", "list", which, **settings)
    (line,) = (line for line in out.splitlines() if reason.strip() in line)
    assert "until it is revoked" in line


@pytest.mark.parametrize("columns", [80, 60, 20])
def test_a_row_that_is_too_wide_is_read_downwards(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a narrow terminal each cell is whole, beside what it is."""
    monkeypatch.setattr(terminal.out, "width", columns)
    wide = Table("", "id", "scopes", show_footer=True)
    wide.add_row("Till", "c0ffee" * 10, "customers:read\ncustomers:write")
    wide.columns[0].footer, wide.columns[1].footer = "all of them", "1"
    small = Table("is", "so")
    small.add_row("a", "1")
    terminal.show(wide)
    terminal.show(small)
    told = capsys.readouterr().out
    assert told.startswith(f"Till\nid: {'c0ffee' * 10}\nscopes: customers:read, customers:write\n")
    assert "\nall of them\nid: 1\n" in told
    assert "│ a  │ 1  │" in told
