"""Embedded servers and what is set: the same for the command that runs and for whoever joins."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm.installation import installation
from crm.settings import BadSettings
from tests import places
from tests.commands import crm

ROOT = Path(__file__).resolve().parents[1]
PEPPER = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture
def directory() -> Iterator[Path]:
    """A place that the servers may enter, also when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="fh-", dir=places.quick()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def test_who_joins_works_with_what_is_in_force(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given to both, or to the first only, or as a file, or written in another way: the same."""
    data = directory / "data"
    pepper = tmp_path / "pepper"
    pepper.write_text(f"{PEPPER}\n")
    monkeypatch.chdir(tmp_path)
    given = {"CRM_PEPPER_FILE": str(pepper), "CRM_LINK_KEYS": f"2:{OTHER}", "CRM_JOURNAL": "kept"}
    async with installation(given, directory=data) as first:
        assert (data / "running.json").stat().st_mode & 0o077 == 0
        monkeypatch.chdir(directory)
        journal = str(tmp_path / "kept")
        same = {"CRM_PEPPER": PEPPER.upper(), "CRM_LINK_KEYS": "", "CRM_JOURNAL": f"{journal}/"}
        for joining in ({}, same, {"CRM_PEPPER_FILE": str(pepper)}):
            async with installation(joining, directory=data, join=True) as second:
                assert second.settings.keys() == first.settings.keys()
                assert second.settings.journal == journal
                assert second.settings.database_url == first.settings.database_url
        for name, value in (
            ("CRM_PEPPER", OTHER),
            ("CRM_LINK_KEYS", f"3:{PEPPER},2:{OTHER}"),
            ("CRM_STORAGE_KEYS", f"1:{OTHER}"),
            ("CRM_JOURNAL", str(directory / "elsewhere")),
        ):
            with pytest.raises(BadSettings, match=f"another {name}: give what it was started"):
                async with installation({name: value}, directory=data, join=True):
                    pass
        pepper.write_text(OTHER)
        with pytest.raises(BadSettings, match="another CRM_PEPPER:"):
            async with installation({"CRM_PEPPER_FILE": str(pepper)}, directory=data, join=True):
                pass
    assert not (data / "journal").exists()


async def test_a_copy_of_the_example_starts_the_embedded_servers(directory: Path) -> None:
    """What it leaves empty is ours to fill in."""
    given = await asyncio.to_thread(_sourced, ROOT / "deploy" / "env.example")
    assert given["CRM_DATABASE_URL"] == given["CRM_JOURNAL"] == ""
    status, _, err = await crm("business", "list", **given, CRM_DATA=str(directory))
    assert (status, err) == (0, "")
    assert (directory / "journal").is_dir()


def _sourced(path: Path) -> dict[str, str]:
    """Read settings as a shell does."""
    told = subprocess.run(
        ["/bin/sh", "-ac", f". {path}; env -0"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = [line.split("=", 1) for line in told.stdout.split("\0") if line]
    return {name: value for name, value in pairs if name.startswith("CRM_")}
