"""Ends a process of ours when the one that started it is gone, however that ended."""

from __future__ import annotations

import asyncio
import os
import signal

# No setting: only one process of ours tells it to another.
_NAME = "FIRSTHAND_PARENT"
_LOOK_SECONDS = 0.3


def named() -> dict[str, str]:
    """Give the variable by which a child knows whose it is."""
    return {_NAME: str(os.getpid())}


async def end_with_parent() -> None:
    """End this process as SIGTERM does once its parent is gone; forever, if none was named."""
    parent = os.environ.get(_NAME)
    # A kernel tells nobody portably that a parent was killed.
    while parent is None or parent == str(os.getppid()):  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
