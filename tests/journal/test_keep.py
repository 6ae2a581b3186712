"""The journal: what is kept is whole, chosen under a lock, and read by nobody else."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from crm.journal import Journal

_COUNT = """
import sys
from pathlib import Path
from uuid import UUID
from crm.journal import Journal
journal = Journal(Path(sys.argv[1]))
for _ in range(40):
    journal.keep(UUID(sys.argv[2]), "count", lambda before: str(int(before or 0) + 1))
"""


def test_it_keeps_the_last(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path / "journal"), uuid4()
    assert journal.read(business, "checkpoint") == ""
    assert journal.keep(business, "checkpoint", lambda before: f"{before}a\n") == "a\n"
    assert journal.keep(business, "checkpoint", lambda before: f"{before}ü\n") == "a\nü\n"
    assert journal.read(business, "checkpoint") == "a\nü\n"
    assert journal.read(uuid4(), "checkpoint") == ""


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path / "journal"), uuid4()
    journal.keep(business, "checkpoint", lambda _: "head")
    folder = tmp_path / "journal" / str(business)
    assert stat.S_IMODE((folder / "checkpoint").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_several_processes_choose_one_after_the_other(tmp_path: Path) -> None:
    business = uuid4()
    command = [sys.executable, "-c", _COUNT, str(tmp_path), str(business)]
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda _: subprocess.run(command, check=True), range(3)):
            assert done.returncode == 0
    assert Journal(tmp_path).read(business, "count") == "120"


def test_what_a_killed_writer_left_is_not_read(tmp_path: Path) -> None:
    journal, business = Journal(tmp_path), uuid4()
    journal.keep(business, "checkpoint", lambda _: "whole")
    (tmp_path / str(business) / "checkpoint.new").write_text("hal")
    assert journal.read(business, "checkpoint") == "whole"
    assert journal.keep(business, "checkpoint", lambda _: "next") == "next"


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match="file"):
        Journal(file).check()
    with pytest.raises(OSError, match="file"):
        Journal(file).keep(uuid4(), "checkpoint", str)
    Journal(tmp_path / "new").check()
