"""Where the journal is kept: every host of the service reaches it, and no backup brings it back.

A directory on a file system that all of them share is the first kind. Another kind has to keep
what `Store` promises, no more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

_LOCK = ".lock"


class Store(Protocol):
    """Small files in folders. Every method raises OSError where the place cannot be used."""

    def locked(self, folder: str) -> AbstractContextManager[None]:
        """Let nobody else in, on any host, until the block ends; the folder is made where new."""
        ...

    def names(self, folder: str) -> list[str]:
        """List the files of a folder, in order; none where there is no such folder."""
        ...

    def size(self, folder: str, name: str) -> int:
        """Return how many bytes a file has; 0 where there is none."""
        ...

    def read(self, folder: str, name: str, offset: int = 0) -> bytes:
        """Return a file from an offset on; nothing where there is none."""
        ...

    def replace(self, folder: str, name: str, data: bytes) -> None:
        """Put a whole file in the place of another, on disk before this returns."""
        ...

    def append(self, folder: str, name: str, data: bytes, *, synced: bool = True) -> None:
        """Write behind what is there, on disk before this returns, or not at all."""
        ...

    def remove(self, folder: str, name: str) -> None:
        """Delete a file."""
        ...


class Directory:
    """A directory, with locks by `flock`."""

    def __init__(self, path: Path) -> None:
        """Use this directory; it is made when first written to."""
        self.path = path

    @contextmanager
    def locked(self, folder: str) -> Iterator[None]:
        """Hold the lock of a folder."""
        place = self.path / folder
        _make_folder(place)
        descriptor = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> list[str]:
        """List the files of a folder but for its lock."""
        try:
            found = {path.name for path in (self.path / folder).iterdir()}
        except FileNotFoundError:
            return []
        return sorted(found - {_LOCK})

    def size(self, folder: str, name: str) -> int:
        """Look at a file's size."""
        try:
            return (self.path / folder / name).stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, folder: str, name: str, offset: int = 0) -> bytes:
        """Read a file from an offset on."""
        try:
            with (self.path / folder / name).open("rb") as file:
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            return b""

    def replace(self, folder: str, name: str, data: bytes) -> None:
        """Write beside, then rename: whoever is killed here leaves the file of before."""
        path = self.path / folder / name
        beside = path.with_name(f"{name}.new")
        with _opened(beside, os.O_TRUNC) as descriptor:
            _write(descriptor, data)
            os.fsync(descriptor)
        beside.rename(path)
        self._sync_names(path)

    def append(self, folder: str, name: str, data: bytes, *, synced: bool = True) -> None:
        """Write behind what is there; what a full disk took of it is cut off again."""
        path = self.path / folder / name
        with _opened(path, os.O_APPEND) as descriptor:
            before = os.fstat(descriptor).st_size
            try:
                _write(descriptor, data)
                if synced:
                    os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        if synced and not before:
            self._sync_names(path)

    def remove(self, folder: str, name: str) -> None:
        """Delete a file; one that is gone already is no error."""
        (self.path / folder / name).unlink(missing_ok=True)

    def _sync_names(self, path: Path) -> None:
        """Have a file found after a power cut: in its folder, and that in the journal.

        Whoever made the folder may not have come so far.
        """
        _sync_folder(path.parent)
        _sync_folder(self.path)


def _make_folder(place: Path) -> None:
    """Make a directory with those above it, each on disk."""
    if place.is_dir():
        return
    _make_folder(place.parent)
    place.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(place.parent)


@contextmanager
def _opened(path: Path, how: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
