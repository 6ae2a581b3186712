"""A campaign's skeleton: what all its messages have in common, and where each may differ.

It is made from the final bytes, decoded, so that a relay's other encoding changes nothing. Each
slot says what may stand there: the text of a merge value, or a link of ours with a reader's token.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from crm.campaigns.merge import Field as Merged
from crm.campaigns.reader import Message, Part, read
from crm.campaigns.render import Compiled
from crm.mail.mime import Slots
from crm.tokens import SAME_FOR_ALL

FORMAT = "firsthand-skeleton-1"
LARGEST = 4_000_000
LINKS = ("unsubscribe", "preferences", "why")

# Fields that are a message's own, or are written on its way.
PER_MESSAGE = frozenset(
    {
        "date",
        "message-id",
        "to",
        "dkim-signature",
        "list-unsubscribe",
        "cfbl-feedback-id",
    }
)
# How a message is packed; what is in it is compared unpacked.
PACKING = frozenset({"content-type", "content-transfer-encoding", "mime-version"})
# Private-use characters that stand for slots while a message is read; see `Marks`.
_FIRST = 0xF0000


class Slot(Struct, frozen=True, omit_defaults=True):
    """A place in a text: of which merge field, or of which link of ours."""

    slot: str


Piece = str | Slot


class Link(Struct, frozen=True):
    """The shape of a link of ours: what it begins with, and how long the token after that is."""

    begins: str
    token: int


class Field(Struct, frozen=True):
    """A header field, unfolded and decoded."""

    name: str
    value: tuple[Piece, ...]


class Leaf(Struct, frozen=True):
    """One part: words with their slots, or the SHA-256 of a file."""

    media_type: str
    within: tuple[str, ...]
    words: tuple[Piece, ...] = ()
    sha256: str = ""
    content_id: str = ""


class Variant(Struct, frozen=True):
    """One wording of a campaign: `asks` is that for customers whose consent ends soon."""

    asks: bool
    fields: tuple[Field, ...]
    parts: tuple[Leaf, ...]


class Skeleton(Struct, frozen=True, kw_only=True):
    """All that is the same in every message of one campaign, as it is published."""

    format: str
    campaign: str
    domain: str
    links: dict[str, Link]
    variants: tuple[Variant, ...]


class BadSkeleton(Exception):
    """These bytes are no skeleton."""


def skeleton_of(
    campaign: str, compiled: Mapping[bool, Compiled], readers: Sequence[Slots]
) -> Skeleton:
    """Make the skeleton of a campaign from its wordings; `readers` are invented, two at least."""
    return Skeleton(
        format=FORMAT,
        campaign=campaign,
        domain=readers[0].message_id.rpartition("@")[2].strip(">"),
        links={name: _link([getattr(each, name) for each in readers]) for name in LINKS},
        variants=tuple(
            variant_of(one, readers[0], asks=asks) for asks, one in sorted(compiled.items())
        ),
    )


def variant_of(compiled: Compiled, reader: Slots, *, asks: bool) -> Variant:
    """Read one wording with a mark in each place where a value or a link of ours stands."""
    names = slot_names(compiled.fields)
    plain = read(compiled.message.bytes_for(reader, [""] * len(names)))
    marks = Marks(names, _words(plain))
    filling = [
        compiled.business if field.name == "business" else mark
        for field, mark in zip(compiled.fields, marks.all, strict=True)
    ]
    message = read(compiled.message.bytes_for(reader, filling))
    return Variant(
        asks=asks,
        fields=tuple(
            Field(name, marks.cut(value))
            for name, value in message.fields
            if name.lower() not in PER_MESSAGE | PACKING
        ),
        parts=tuple(_leaf(part, marks) for part in message.parts),
    )


def slot_names(fields: Sequence[Merged]) -> list[str]:
    """Name the slot of each field: as the field, numbered where another default stands for it."""
    seen: Counter[str] = Counter()
    names = []
    for field in fields:
        seen[field.name] += 1
        again = seen[field.name]
        names.append(f"{field.name}#{again}" if again > 1 else field.name)
    return names


class Marks:
    """One character for each slot, none of which the message has anywhere."""

    def __init__(self, names: Sequence[str], taken: str) -> None:
        """Choose characters; a name may come more than once."""
        used = set(taken)
        free = (chr(at) for at in range(_FIRST, _FIRST + 65_000) if chr(at) not in used)
        self._names = {next(free): name for name in names}

    @property
    def all(self) -> list[str]:
        """The characters, in the order of the names."""
        return list(self._names)

    def cut(self, text: str) -> tuple[Piece, ...]:
        """Cut a text at its marks."""
        return tuple(self._cut(text))

    def _cut(self, text: str) -> Iterator[Piece]:
        words = ""
        for char in text:
            if char in self._names:
                if words:
                    yield words
                words = ""
                yield Slot(self._names[char])
            else:
                words += char
        if words:
            yield words


def joined(pieces: Sequence[Piece], marks: Mapping[str, str]) -> str:
    """Put pieces together again, with the mark of each slot."""
    return "".join(each if isinstance(each, str) else marks[each.slot] for each in pieces)


def packed(skeleton: Skeleton) -> bytes:
    """Write a skeleton as the bytes that are published and hashed: JSON, its keys in order."""
    return msgspec.json.encode(skeleton, order="sorted")


def unpacked(raw: bytes) -> Skeleton:
    """Read a published skeleton, or refuse with BadSkeleton."""
    try:
        found = msgspec.json.decode(raw, type=Skeleton)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        message = f"this is no skeleton: {wrong}"
        raise BadSkeleton(message) from None
    if found.format != FORMAT or set(found.links) != set(LINKS) or not found.variants:
        message = f"this is no skeleton of the format {FORMAT}"
        raise BadSkeleton(message)
    return found


def digest(raw: bytes) -> bytes:
    """Return SHA-256 of a packed skeleton: what a verdict names."""
    return hashlib.sha256(raw).digest()


def _link(urls: Sequence[str]) -> Link:
    """Find what the links of several readers share: all up to the token, the last piece.

    Of the token no more than names the business: a few readers may begin alike by chance.
    """
    begins, _, token = urls[0].rpartition("/")
    same, most = 0, min(len(token), SAME_FOR_ALL)
    while same < most and len({url.rpartition("/")[2][: same + 1] for url in urls}) == 1:
        same += 1
    return Link(f"{begins}/{token[:same]}", len(token) - same)


def _words(message: Message) -> str:
    texts = [part.text for part in message.parts if part.media_type.startswith("text/")]
    return "".join([*texts, *(value for _, value in message.fields)])


def _leaf(part: Part, marks: Marks) -> Leaf:
    if not part.media_type.startswith("text/") or part.disposition == "attachment":
        return Leaf(
            part.media_type,
            part.within,
            sha256=hashlib.sha256(part.content).hexdigest(),
            content_id=part.content_id,
        )
    return Leaf(part.media_type, part.within, marks.cut(part.text))
