"""Signed heads written where the operator wants them: once each, whole, and below that folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm import ledger
from crm.businesses import Business
from crm.db import Database
from crm.journal import CHECKPOINT, Journal
from crm.ledger import anchors
from tests.ledger.conftest import entered
from tests.ledger.test_seal import ALL


async def test_each_head_is_written_once(
    database: Database, business: Business, journal: Journal, tmp_path: Path
) -> None:
    folder = tmp_path / "anchors"
    assert await anchors.write(database, business.id, folder) is None
    for size in (2, 5):
        await entered(database, business.id, size)
        await ledger.seal(database, business.id, journal, most=ALL)
        path = await anchors.write(database, business.id, folder)
        assert path is not None
        assert path.read_text() == journal.read(business.id, CHECKPOINT)
        assert await anchors.write(database, business.id, folder) is None
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.checkpoint"))
    place = f"{business.host}/ledger/1"
    assert written == [f"{place}/000000000002.checkpoint", f"{place}/000000000007.checkpoint"]


async def test_a_folder_that_cannot_be_written_is_tried_again(
    database: Database, business: Business, journal: Journal, tmp_path: Path
) -> None:
    await entered(database, business.id, 1)
    await ledger.seal(database, business.id, journal, most=ALL)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(OSError, match="file"):
        await anchors.write(database, business.id, in_the_way)
    assert await anchors.write(database, business.id, tmp_path / "anchors") is not None
