"""The nightly job of docs/operators.md: no backup is older than customers are told."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"
HOUR = 3600
DAY = 24 * HOUR


def _block() -> str:
    block = re.compile(r"^```sh backup\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    (found,) = block.findall(DOCUMENT.read_text())
    return str(found)


def _aged(place: Path, seconds: int) -> Path:
    path = place / f"firsthand-{seconds}.sealed"
    path.touch()
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def _night(place: Path, dump: str, **settings: str) -> int:
    """Run the job with programs of our own in the place of PostgreSQL's and ours."""
    programs = place / "bin"
    programs.mkdir()
    for name, text in (("pg_dump", dump), ("crm", "cat")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environ = {"PATH": f"{programs}:{os.defpath}", "ADMIN_URL": "x"} | settings
    ran = subprocess.run(["/bin/bash", "-c", _block()], cwd=place, env=environ, check=False)
    return ran.returncode


@pytest.mark.parametrize("dump", ["echo a dump", "exit 1"])
@pytest.mark.parametrize("days", [35, 10, 2])
def test_what_the_next_night_would_find_too_old_goes(tmp_path: Path, days: int, dump: str) -> None:
    """Also where a night comes an hour early or late, or its dump fails."""
    goes = [
        _aged(tmp_path, nights * DAY + early)
        for nights in range(days - 1, days + 3)
        for early in (-3 * HOUR, 0, 3 * HOUR)
    ]
    stays = [
        _aged(tmp_path, nights * DAY + early)
        for nights in range(1, days - 1)
        for early in (-3 * HOUR, 0, 3 * HOUR)
    ]
    other = tmp_path / "backup.key"
    other.touch()
    os.utime(other, (0, 0))
    settings = {} if days == 35 else {"CRM_BACKUP_DAYS": str(days)}
    failed = _night(tmp_path, dump, **settings)
    assert (failed != 0) == (dump == "exit 1")
    assert not [each for each in goes if each.exists()]
    made = set(tmp_path.glob("firsthand-*.sealed")) - set(stays)
    assert len(made) == (not failed)
    assert all(each.exists() for each in (*stays, other))


@pytest.mark.parametrize(("days", "failures"), [(1, 0), (2, 0), (3, 1), (35, 33)])
def test_so_many_failed_nights_leave_a_backup(tmp_path: Path, days: int, failures: int) -> None:
    """Fewer than three days forgive none: that is said beside the job, with the number to set."""
    last = _aged(tmp_path, failures * DAY) if failures else None
    older = _aged(tmp_path, (failures + 1) * DAY)
    assert _night(tmp_path, "exit 1", CRM_BACKUP_DAYS=str(days)) != 0
    assert set(tmp_path.glob("firsthand-*.sealed")) == ({last} if last else set())
    assert not older.exists()
    assert "set at\nleast 3." in DOCUMENT.read_text()


def test_of_one_day_tonights_is_left(tmp_path: Path) -> None:
    before = _aged(tmp_path, DAY - HOUR)
    assert _night(tmp_path, "echo a dump", CRM_BACKUP_DAYS="1") == 0
    (made,) = tmp_path.glob("firsthand-*.sealed")
    assert made != before
    assert made.read_text() == "a dump\n"
