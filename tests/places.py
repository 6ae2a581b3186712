"""Where the servers that tests start keep their files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108  (only folders of our own are made in it)
# Two processes of the tests leave a third of this free.
_ROOM = 3 * 2**30


def quick() -> Path | None:
    """Name the folder that is in memory, if it has room and programs may run there.

    To clone a database is to make two thousand files: on a disk that takes six times as long. None
    is where `tempfile` would look by itself.
    """
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
        return None
    return None if os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC else _MEMORY
