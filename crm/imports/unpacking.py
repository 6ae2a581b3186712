"""A ZIP as tools hand out their exports: every list in it, or the sentence why not."""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from msgspec import Struct

from crm.imports.columns import Unreadable
from crm.imports.showing import printable

# Of all lists together. They are held in memory while they are read.
UNPACKED_LIMIT = 200_000_000
_MOST_FILES = 200
# Lists pack to a tenth; what packs to less than a hundredth was made to fill a disk.
_TIGHTEST = 100
_SMALL = 1_000_000
_LISTS = (".csv", ".tsv", ".txt")
_ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".zst")
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")
_CHUNK = 1 << 16
_SHOWN = 100

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
    OSError,
)


class Unpacked(Struct, frozen=True):
    """The lists of an archive by name, in order of their names, and what else is in it."""

    lists: dict[str, bytes]
    others: list[str]


def is_archive(source: BinaryIO) -> bool:
    """Whether it begins as a ZIP does."""
    source.seek(0)
    return source.read(4) == b"PK\x03\x04"


def unpack(source: BinaryIO) -> Unpacked:
    """Take the lists out of a ZIP into memory; Unreadable for a trap, and for one without lists.

    Names lead nowhere, for nothing is written to disk; one that tries is a sign of bad intent, and
    all of it is refused.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            found = [each for each in archive.infolist() if not _is_chaff(each)]
            _check(found)
            lists = {
                each.filename: _read(archive, each)
                for each in sorted(found, key=lambda each: each.filename)
                if each.filename.casefold().endswith(_LISTS)
            }
    except _BROKEN:
        raise Unreadable(
            "This ZIP archive or Excel workbook cannot be unpacked: it is damaged, or packed in an "
            "unusual way. Save the list as CSV (UTF-8), and import that."
        ) from None
    if not lists:
        raise Unreadable(
            "There is no list in this ZIP archive; if it is an Excel workbook, save it as CSV "
            "(UTF-8), and import that."
        )
    return Unpacked(lists, [each.filename for each in found if each.filename not in lists])


def _is_chaff(entry: zipfile.ZipInfo) -> bool:
    """Folders, and what a Mac puts beside its files."""
    name = entry.filename
    return entry.is_dir() or name.startswith("__MACOSX/") or name.endswith(".DS_Store")


def _check(found: Iterable[zipfile.ZipInfo]) -> None:
    entries = list(found)
    if len(entries) > _MOST_FILES:
        raise Unreadable(f"The ZIP archive has more than {_MOST_FILES} files. Pack the lists only.")
    if len({each.filename for each in entries}) < len(entries):
        raise Unreadable("Two files in the ZIP archive have the same name. Pack it again.")
    for each in entries:
        _check_entry(each)
    wanted = (each for each in entries if each.filename.casefold().endswith(_LISTS))
    if sum(each.file_size for each in wanted) > UNPACKED_LIMIT:
        raise Unreadable(
            f"The lists in the ZIP archive have more than {UNPACKED_LIMIT // 1_000_000} MB "
            "together. Import them one after the other, those who left first."
        )


def _check_entry(entry: zipfile.ZipInfo) -> None:
    shown = printable(entry.filename, _SHOWN)
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
        raise Unreadable(f"The file “{shown}” in the ZIP archive points outside of it. Pack again.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise Unreadable(f"“{shown}” in the ZIP archive is a link. Pack the list itself.")
    if entry.flag_bits & 0x1:
        raise Unreadable("The ZIP archive asks for a password. Pack it again without one.")
    if name.casefold().endswith(_ARCHIVES):
        raise Unreadable(f"“{shown}” is an archive within the ZIP archive. Unpack it first.")
    if entry.file_size > _SMALL and entry.file_size > _TIGHTEST * entry.compress_size:
        raise Unreadable(
            f"“{shown}” in the ZIP archive grows to more than {_TIGHTEST} times its size. No list "
            "does so."
        )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """One list; never more than it says, for an entry may lie about its size."""
    content = io.BytesIO()
    with archive.open(entry) as packed:
        while piece := packed.read(_CHUNK):
            content.write(piece)
            if content.tell() > entry.file_size:
                raise zipfile.BadZipFile
    if content.getvalue()[:4].startswith(_PACKED):
        raise Unreadable(
            f"“{printable(entry.filename, _SHOWN)}” is an archive within the ZIP archive."
        )
    return content.getvalue()
