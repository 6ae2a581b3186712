"""Is this mail the one that was sent? A received message beside the skeleton of its campaign.

Pure, and offline: only what is in the two is looked at. Decoded content is compared, so another
encoding, other line ends and the traces of its way are no difference; all else is named.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher

from msgspec import Struct

from crm.campaigns.reader import PHRASED, Message, Part, read, unquoted
from crm.campaigns.skeleton import PACKING, Field, Leaf, Link, Piece, Skeleton, Slot, Variant
from crm.campaigns.slots import LINK, Filled, fits, is_ours
from crm.campaigns.tokens import Unit, of_html, told
from crm.languages import gettext, ngettext

LARGEST_MAIL = 2_000_000
# Fields that change what a mail is or does; others that are put in are traces of its way.
_GUARDED = frozenset({
    "from", "sender", "reply-to", "subject", "list-id", "list-unsubscribe",
    "list-unsubscribe-post", "list-help", "list-owner", "list-post", "list-archive",
    "list-subscribe", "archived-at", "disposition-notification-to", "return-receipt-to",
    "x-confirm-reading-to", "cc", "bcc", "resent-from", "content-location", "content-base",
})  # fmt: skip
_MOST = 40
_ALIGNED = 1500
# Without what stands before it, each blank of a long row would be a beginning.
_ENDS_OF_LINES = re.compile(r"(?<![ \t])[ \t]+\n")
# A mailto: URL of one address, and of a subject at most: no second address, none in disguise, and
# no other field, which could copy it elsewhere, also not behind a line end in the subject.
_ONE_ADDRESS = re.compile(
    r"mailto:[^@%?,;\s]+@([A-Za-z0-9.-]+)(?:\?subject=(?:[^?&;=#%\s]|%(?!0[AD])[0-9A-F]{2})*)?",
    re.IGNORECASE,
)
# Addresses and nothing else: in parentheses, or behind a word, they would be something else.
_ADDRESSES = re.compile(r"\s*<[^<>]*>(?:\s*,\s*<[^<>]*>)*\s*")
_ID = re.compile(r"<([0-9a-f]{32})\.[0-9a-f]{32}@([A-Za-z0-9.-]+)>")


class Difference(Struct, frozen=True):
    """One difference in plain words; `was` and `now` show it where there is something to show."""

    sentence: str
    was: str = ""
    now: str = ""


class Comparison(Struct, frozen=True):
    """Same, or every difference found; `asks` says which wording of the campaign it is nearest."""

    differences: tuple[Difference, ...]
    asks: bool = False

    @property
    def same(self) -> bool:
        """Whether the mail is the skeleton."""
        return not self.differences


def campaign_of(raw: bytes) -> str:
    """Return the campaign that a Message-ID names, as 32 hexadecimal digits; else nothing."""
    found = _ID.fullmatch(read(raw).first("Message-ID").strip())
    return found[1] if found else ""


def compare(raw: bytes, skeleton: Skeleton, *, named: bool = True) -> Comparison:
    """Compare a mail as it was received with a skeleton; the nearest of its wordings counts.

    Unless `named`, another Message-ID is no difference: what it is a copy of is known otherwise.
    """
    message = read(raw)
    found = [
        Comparison(tuple(_differences(message, variant, skeleton, named=named)), variant.asks)
        for variant in skeleton.variants
    ]
    return min(found, key=lambda each: len(each.differences))


def _differences(
    message: Message, variant: Variant, skeleton: Skeleton, *, named: bool
) -> list[Difference]:
    filled = Filled()
    found = list(_named(message, skeleton)) if named else []
    found += _doubtful(message)
    found += _fields(message, variant, skeleton, filled)
    found += _leaves(message, variant, skeleton.links, filled)
    for slot, value in filled.wrong:
        sentence = gettext(
            "Where a reader's %(slot)s should stand, there is an address, or far too much.",
            slot=slot,
        )
        found.append(Difference(sentence, now=value[:300]))
    for slot, urls in filled.links.items():
        if len(urls) > 1:
            sentence = gettext(
                "The link %(link)s is not the same everywhere in the mail.",
                link=slot.removeprefix(LINK),
            )
            found.append(Difference(sentence, now="  ".join(sorted(urls))))
    return list(dict.fromkeys(found))[:_MOST]


def _named(message: Message, skeleton: Skeleton) -> Iterator[Difference]:
    named = _ID.fullmatch(message.first("Message-ID").strip())
    if named is None or named[1] != skeleton.campaign or named[2] != skeleton.domain:
        yield Difference(
            gettext("Its Message-ID is not one of this campaign."),
            now=message.first("Message-ID")[:300],
        )


def _doubtful(message: Message) -> Iterator[Difference]:
    """Tell what mail programs may read in another way than we, who take the first."""
    for part in message.parts:
        for name, values in part.doubtful:
            if len(values) > 1:
                yield Difference(_times(name, len(values)), now=" | ".join(values)[:300])
            else:
                sentence = gettext("The header %(name)s was changed.", name=name)
                yield Difference(sentence, now=values[0][:300])


def _times(name: str, number: int) -> str:
    return ngettext(
        "The header %(name)s is there %(number)s time.",
        "The header %(name)s is there %(number)s times.",
        number,
        name=name,
    )


def _fields(
    message: Message, variant: Variant, skeleton: Skeleton, filled: Filled
) -> Iterator[Difference]:
    known = {each.name.lower() for each in variant.fields}
    for field in variant.fields:
        values = message.every(field.name)
        expected = _loose(_spoken(field))
        if not values:
            yield Difference(
                gettext("The header %(name)s is missing.", name=field.name), was=_shown(field.value)
            )
        elif len(values) > 1:
            sentence = _times(field.name, len(values))
            yield Difference(sentence, was=_shown(field.value), now=" | ".join(values)[:300])
        elif not fits(expected, _bare(values[0]), skeleton.links, filled):
            sentence = gettext("The header %(name)s was changed.", name=field.name)
            yield Difference(sentence, was=_shown(field.value), now=values[0][:300])
    yield from _leaving(message, skeleton, filled)
    guarded = _GUARDED - known - {"list-unsubscribe"} - PACKING
    for name, value in message.fields:
        if name.lower() in guarded:
            yield Difference(gettext("The header %(name)s was put in.", name=name), now=value[:300])


def _spoken(field: Field) -> Sequence[Piece]:
    """Take quotation marks from words before an address, which older skeletons have."""
    if field.name.lower() not in PHRASED:
        return field.value
    cut = [each.rpartition("<") if isinstance(each, str) else each for each in field.value]
    return [each if isinstance(each, Slot) else f"{unquoted(each[0])}{each[1]}{each[2]}"
            for each in cut]  # fmt: skip


def _leaving(message: Message, skeleton: Skeleton, filled: Filled) -> Iterator[Difference]:
    values = message.every("List-Unsubscribe")
    links = re.findall(r"<([^<>]*)>", " ".join(values))
    pressed = [each for each in links if not each.lower().startswith("mailto:")]
    mailed = [each for each in links if each.lower().startswith("mailto:")]
    ours = skeleton.links["unsubscribe"]
    alone = _ADDRESSES.fullmatch(" ".join(values)) is not None
    as_sent = alone and all(_to(each, skeleton.domain) for each in mailed)
    if len(values) == 1 and len(pressed) == 1 and is_ours(pressed[0], ours) and len(mailed) < 2:  # noqa: PLR2004
        filled.take(f"{LINK}unsubscribe", pressed[0])
        if as_sent:
            return
    yield Difference(
        gettext("The header %(name)s was changed.", name="List-Unsubscribe"),
        was=f"<{ours.begins}…>",
        now=" ".join(values)[:300] or gettext("missing"),
    )


def _to(mailto: str, domain: str) -> bool:
    found = _ONE_ADDRESS.fullmatch(mailto)
    return found is not None and f".{found[1]}".lower().endswith(f".{domain}".lower())


def _leaves(
    message: Message, variant: Variant, links: dict[str, Link], filled: Filled
) -> Iterator[Difference]:
    expected = [(each.media_type, each.within) for each in variant.parts]
    received = [(each.media_type, each.within) for each in message.parts]
    if expected != received:
        kinds = [kind for kind, _ in expected], [kind for kind, _ in received]
        if kinds[0] == kinds[1]:
            was, now = (
                "/".join(found[0][1]) or gettext("one part") for found in (expected, received)
            )
            yield Difference(gettext("The parts are put together in another way."), was, now)
        yield from _other_parts(*kinds)
    pairs = SequenceMatcher(
        None, [kind for kind, _ in expected], [kind for kind, _ in received], autojunk=False
    )
    for first, second, size in pairs.get_matching_blocks():
        for step in range(size):
            leaf, part = variant.parts[first + step], message.parts[second + step]
            yield from _leaf(leaf, part, links, filled)


def _other_parts(expected: list[str], received: list[str]) -> Iterator[Difference]:
    for kind, low, high, start, end in SequenceMatcher(
        None, expected, received, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            for each in expected[low:high]:
                yield Difference(gettext("A part is missing (%(kind)s).", kind=each), was=each)
            for each in received[start:end]:
                yield Difference(gettext("A part was put in (%(kind)s).", kind=each), now=each)


def _leaf(leaf: Leaf, part: Part, links: dict[str, Link], filled: Filled) -> Iterator[Difference]:
    if leaf.sha256:
        if hashlib.sha256(part.content).hexdigest() != leaf.sha256:
            yield Difference(
                gettext("An attached file is another one (%(kind)s).", kind=leaf.media_type)
            )
        elif leaf.content_id != part.content_id:
            sentence = gettext("An attached picture has another name.")
            yield Difference(sentence, leaf.content_id, part.content_id)
        return
    if not part.legible:
        sentence = gettext("The header %(name)s was changed.", name="Content-Type")
        yield Difference(sentence, now=part.charset[:300])
    if leaf.media_type == "text/html":
        expected, received = of_html(leaf.words), of_html((part.text,))
    else:
        whole = Filled()
        if fits(_trimmed(leaf.words), _lines((part.text,)), links, whole):
            filled.wrong += whole.wrong
            for slot, urls in whole.links.items():
                filled.links.setdefault(slot, set()).update(urls)
            return
        expected, received = _by_line(leaf.words), _by_line((part.text,))
    yield from _units(expected, received, links, filled)


def _units(
    expected: Sequence[Unit], received: Sequence[Unit], links: dict[str, Link], filled: Filled
) -> Iterator[Difference]:
    """Align tokens or lines: what fits is the same, what is left is told."""
    start = 0
    while start < min(len(expected), len(received)) and _is(
        expected[start], received[start], links, filled
    ):
        start += 1
    end = 0
    while end < min(len(expected), len(received)) - start and _is(
        expected[-1 - end], received[-1 - end], links, filled
    ):
        end += 1
    left = expected[start : len(expected) - end]
    right = received[start : len(received) - end]
    if max(len(left), len(right)) > _ALIGNED:
        sentence = gettext("Much of it is another text; the first difference is shown.")
        yield Difference(sentence, _first(left), _first(right))
        return
    keys = [_key(each, left, links, filled) for each in right]
    matcher = SequenceMatcher(None, [_own_key(each) for each in left], keys, autojunk=False)
    for kind, low, high, begin, after in matcher.get_opcodes():
        if kind != "equal":
            for sentence, was, now in told(left[low:high], right[begin:after]):
                yield Difference(sentence, was[:300], now[:300])


def _is(one: Unit, other: Unit, links: dict[str, Link], filled: Filled) -> bool:
    # Of the same name, too: a text can spell a tag out.
    return one.name == other.name and fits(one.pieces, other.text, links, filled, tag=one.tag)


def _key(unit: Unit, expected: Sequence[Unit], links: dict[str, Link], filled: Filled) -> Hashable:
    """Return the key of the expected unit with slots that this one fits, or its own."""
    for each in expected:
        if each.slotted and _is(each, unit, links, filled):
            return _own_key(each)
    return _own_key(unit)


def _own_key(unit: Unit) -> Hashable:
    """Tell a slot from a text that looks as it is shown."""
    return unit.name, unit.pieces if unit.slotted else unit.shown


def _first(units: Sequence[Unit]) -> str:
    return units[0].shown[:300] if units else ""


def _by_line(pieces: Sequence[Piece]) -> list[Unit]:
    lines: list[list[Piece]] = [[]]
    for each in pieces:
        if isinstance(each, str):
            first, *rest = each.split("\n")
            lines[-1].append(first)
            lines += [[line] for line in rest]
        else:
            lines[-1].append(each)
    units = [Unit.of(_loose(line)) for line in lines]
    return [each for each in units if each.shown]


def _trimmed(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Take blanks from the ends of lines, which relays lose, and empty lines from the end."""
    out: list[Piece] = [
        _ENDS_OF_LINES.sub("\n", each) if isinstance(each, str) else each for each in pieces
    ]
    if out and isinstance(out[-1], str):
        out[-1] = out[-1].rstrip()
    return tuple(out)


def _lines(pieces: tuple[str]) -> str:
    (found,) = _trimmed(pieces)
    return str(found)


def _loose(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Fold blanks; those beside a slot belong to its value, which may be empty."""
    out: list[Piece] = []
    for number, each in enumerate(pieces):
        if not isinstance(each, str):
            out.append(each)
            continue
        text = _bare(each, strip=False)
        if number == 0 or not _link(pieces[number - 1]):
            text = text.lstrip()
        if number == len(pieces) - 1 or not _link(pieces[number + 1]):
            text = text.rstrip()
        if text:
            out.append(text)
    return tuple(out)


def _link(piece: Piece) -> bool:
    return not isinstance(piece, str) and piece.slot.startswith(LINK)


def _bare(text: str, *, strip: bool = True) -> str:
    folded = re.sub(r"\s+", " ", text)
    return folded.strip() if strip else folded


def _shown(pieces: Sequence[Piece]) -> str:
    return "".join(each if isinstance(each, str) else f"{{{each.slot}}}" for each in pieces)[:300]
