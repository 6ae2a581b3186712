"""A value from the command line, or a setting, that nothing could take: one line and status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm.businesses import Business
from crm.db import Database
from crm.mail.dns import Resolver
from crm.settings import Settings
from tests import make
from tests.commands import SECRETS, crm
from tests.conftest import Cluster

CENTURIES = "99999999999"
URLS = {"CRM_DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "CRM_REDIS_URL": "redis://127.0.0.1:1"}


@pytest.fixture
def settings(shared_cluster: Cluster, redis_url: str) -> dict[str, str]:
    """The variables of an installation on the servers of the tests."""
    return {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url} | SECRETS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("letterbox", "box", "--smtp-port", "99999"), "99999 is not in the range"),
        (("letterbox", "box", "--http-port", "-1"), "-1 is not in the range"),
        (("business", "list", "--business=B\udce4ckerei"), "--business=B?ckerei is not text"),
        (("backup", "seal", "--key=\udce4"), "--key=? is not text"),
    ],
)
async def test_what_could_not_be_is_refused(arguments: tuple[str, ...], words: str) -> None:
    status, out, err = await crm(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "name",
    [
        "CRM_JOURNAL_DAYS",
        "CRM_BACKUP_DAYS",
        "CRM_SENDING__GIVE_UP_HOURS",
        "CRM_SENDING__OVERDUE_MINUTES",
        "CRM_LEDGER__WATCH_HOURS",
    ],
)
async def test_a_time_ends_within_a_century(name: str) -> None:
    status, _, err = await crm("worker", **URLS | SECRETS | {name: CENTURIES})
    assert status == 2
    assert [line.split(":")[:2] for line in err.splitlines()] == [["crm", f" {name}"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRM_DNS__SERVERS", "9.9.9.9, ::1#5353,127.0.0.1#53"),
        ("CRM_DNS__SERVERS", ""),
        ("CRM_WEB__TRUSTED_PROXIES", "127.0.0.1, ::1,10.0.0.0/8,fd00::/8"),
        ("CRM_WEB__TRUSTED_PROXIES", "*"),
        ("CRM_WEB__TRUSTED_PROXIES", ""),
    ],
)
def test_whom_to_ask_and_whom_to_believe(name: str, value: str) -> None:
    """All forms that those take who use it."""
    settings = Settings.read(SECRETS | {name: value})
    assert value in {settings.dns.servers, settings.web.trusted_proxies}
    Resolver(settings.dns.servers)


async def test_a_setting_is_text(tmp_path: Path) -> None:
    """Said of a file in which it is none; no start fails with what was read there."""
    file = tmp_path / "pepper"
    file.write_bytes(b"\xe4" * 64)
    given = {name: value for name, value in SECRETS.items() if name != "CRM_PEPPER"}
    status, _, err = await crm("worker", **URLS | given | {"CRM_PEPPER_FILE": str(file)})
    assert status == 2
    assert f"crm: CRM_PEPPER_FILE: {file} is not text in UTF-8" in err.splitlines()


async def test_a_subject_that_is_too_long(
    database: Database, business: Business, settings: dict[str, str], tmp_path: Path
) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
    letter = tmp_path / "letter.md"
    letter.write_text("# Rye\n\nThere is rye bread.\n")
    of = (f"--purpose={purpose.slug}", f"--business={business.id}")
    given = ("campaign", "draft", str(letter), "--subject", "x" * 4000, *of)
    status, out, err = await crm(*given, **settings)
    assert (status, out) == (2, "")
    assert "length <= 300 - at `$.subject`" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("ledger", "reopen", f"--reason={'x' * 4000}"),
        ("ledger", "settle", "0" * 32, f"--reason={'x' * 4000}"),
        ("ledger", "set-aside", CENTURIES * 3, "--reason=x"),
        ("campaign", "schedule", "0" * 32, "0001-01-01T00:00:00+14:00"),
        ("campaign", "schedule", "0" * 32, "9999-12-31T23:59:59-14:00"),
        ("campaign", "test", "0" * 32, "x" * 4000),
        ("webhook", "replay", "till", "--since=0001-01-01"),
        ("domain", "add", "x" * 4000),
        ("relay", "add", "x" * 4000, "relay.example"),
        ("relay", "add", "x", "relay.example", "--port=99999"),
        ("key", "add", "x" * 4000, "--reason=x", "--every-scope"),
    ],
)
async def test_what_is_out_of_bounds_is_told(
    business: Business, settings: dict[str, str], arguments: tuple[str, ...]
) -> None:
    status, out, err = await crm(*arguments, f"--business={business.id}", **settings)
    assert (status, out) == (2, ""), err
    assert "Traceback" not in err
