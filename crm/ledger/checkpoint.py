"""Checkpoints (C2SP tlog-checkpoint) and proofs that go with a receipt (C2SP tlog-proof)."""

from __future__ import annotations

import re
from base64 import b64encode

from msgspec import Struct

from crm.ledger.note import BadNote, decoded, read
from crm.ledger.tree import HASH_SIZE

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_PROOF = "c2sp.org/tlog-proof@v1"
# A tree has no more levels than its size has bits.
_LONGEST_PATH = 64


class Checkpoint(Struct, frozen=True):
    """The head of a ledger: whose, of how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Write it as it is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class Proof(Struct, frozen=True):
    """That a leaf stands at `index` below the root of the signed checkpoint in `note`."""

    index: int
    path: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """Write the file `.tlog-proof`; no extra data, which nobody could trust anyway."""
        path = "".join(f"{b64encode(each).decode()}\n" for each in self.path)
        return f"{_PROOF}\nindex {self.index}\n{path}\n{self.note}"


def checkpoint_of(note: str) -> Checkpoint:
    """Read the checkpoint in a signed note, unproved; BadNote if it is not written like one."""
    lines = read(note).text.split("\n")
    if len(lines) < 4 or lines[-1]:  # noqa: PLR2004  (three lines and what follows the last)
        message = "a checkpoint has three lines: origin, size, root"
        raise BadNote(message)
    origin, size, root = lines[:3]
    if not origin:
        message = "the checkpoint names no origin"
        raise BadNote(message)
    checkpoint = Checkpoint(origin, read_number(size), decoded(root))
    if len(checkpoint.root) != HASH_SIZE:
        message = f"the root of a checkpoint has {HASH_SIZE} bytes, not {len(checkpoint.root)}"
        raise BadNote(message)
    return checkpoint


def read_proof(text: str) -> Proof:
    """Read a file `.tlog-proof`, or refuse with BadNote; extra data is passed over."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != _PROOF:
        message = f"a proof begins with the line {_PROOF}"
        raise BadNote(message)
    rest = lines[2:] if len(lines) > 1 and lines[1].startswith("extra ") else lines[1:]
    if not rest or not rest[0].startswith("index "):
        message = "a proof says the index of its leaf"
        raise BadNote(message)
    path = tuple(decoded(line) for line in rest[1:])
    if len(path) > _LONGEST_PATH or any(len(each) != HASH_SIZE for each in path):
        message = f"a path is at most {_LONGEST_PATH} hashes of {HASH_SIZE} bytes"
        raise BadNote(message)
    return Proof(read_number(rest[0].removeprefix("index ")), path, note)


def read_number(text: str) -> int:
    """Read a size or index in its one spelling, or refuse with BadNote."""
    if not _NUMBER.fullmatch(text):
        message = "a size or index is a whole number without leading zeros"
        raise BadNote(message)
    return int(text)
