"""The journal: what is kept outside the database, so that a restored one is known as such.

A directory that every worker shares and that no backup of the database brings back: one folder per
business, one small file per subject. A file is replaced as a whole and is on disk before `keep`
returns.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

_LOCK = ".lock"


class Journal:
    """The files of all businesses below one directory; an OSError says what is wrong with it."""

    def __init__(self, directory: Path) -> None:
        """Use this directory; it is made when first written to."""
        self.directory = directory

    def read(self, business_id: UUID, name: str) -> str:
        """Return what was kept last under a name, or nothing."""
        try:
            return self._path(business_id, name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def keep(self, business_id: UUID, name: str, choose: Callable[[str], str]) -> str:
        """Keep what `choose` makes of what was kept before; of two at once the second sees both."""
        path = self._path(business_id, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            before = self.read(business_id, name)
            chosen = choose(before)
            if chosen != before:
                _replace(path, chosen)
            return chosen

    def check(self) -> None:
        """Raise OSError unless the directory can be written to."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.directory):
            return

    def _path(self, business_id: UUID, name: str) -> Path:
        return self.directory / str(business_id) / name


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Write beside, then rename: whoever is killed here leaves the file of before."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
