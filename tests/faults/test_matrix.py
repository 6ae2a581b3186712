"""A small, fixed part of the fault matrix; `make faults` runs it long and at random."""

from __future__ import annotations

import pytest

from tests.faults.matrix import ACTS, AWAY, run
from tests.faults.world import world

SEED = 4


@pytest.mark.timeout(150)
async def test_nothing_is_lost_or_doubled_whatever_is_killed_or_cut() -> None:
    """Every fault once, over two campaigns of two workers."""
    async with world() as here:
        names = [name for name in ACTS if name not in here.lacking]
        names.remove(AWAY)
        # The second campaign goes through all of it without Valkey.
        for part in (names[::2], [AWAY, *names[1::2]]):
            done = await run(here, SEED, part, size=300)
            assert done.wrong() == []
