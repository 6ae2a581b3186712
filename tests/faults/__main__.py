"""`make faults`: campaigns through random faults, until the time is over or something breaks."""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
from collections import Counter
from time import monotonic

from tests.faults.matrix import ACTS, run
from tests.faults.world import world


async def main(seed: int, minutes: float) -> int:
    """Say what is done and what held; 1 if a promise did not."""
    print(f"seed {seed}", flush=True)  # noqa: T201
    chance, until = random.Random(seed), monotonic() + minutes * 60
    done, broken = Counter[str](), 0
    async with world() as here:
        for name, why in here.lacking.items():
            print(f"not tried: {name}: {why}", flush=True)  # noqa: T201
        acts = [name for name in ACTS if name not in here.lacking]
        while monotonic() < until:
            one, names = chance.randrange(2**32), chance.choices(acts, k=6)
            await here.servers.drop_wal()
            found = await run(here, one, names)
            done.update(names)
            wrong = found.wrong()
            broken += bool(wrong)
            counts = found.counted
            assert counts is not None
            print(  # noqa: T201
                f"{', '.join(names)}: sent {counts.sent}, failed {counts.failed}, "
                f"excluded {counts.excluded}, uncertain {counts.uncertain}, "
                f"accepted {len(found.accepted)}, left {len(found.answered)}: "
                f"{'; '.join(wrong) or 'held'}",
                flush=True,
            )
    for name, times in sorted(done.items()):
        print(f"  {name:26} {times:4}")  # noqa: T201
    print(f"{broken} campaigns in which a promise did not hold")  # noqa: T201
    return int(broken > 0)


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="make faults")
    options.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options.add_argument("--minutes", type=float, default=15)
    given = options.parse_args()
    sys.exit(asyncio.run(main(given.seed, given.minutes)))
