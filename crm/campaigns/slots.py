"""Whether a text is a text of the skeleton, with nothing in its slots but what may stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape

from crm.campaigns.skeleton import Link, Piece, Slot
from crm.campaigns.web_address import is_web_address

LINK = "link."
# What may stand before the @ (RFC 5322 §3.2.3), which may look like the path of a page.
_MAILBOX = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w.-]{1,253}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]*")
_LONGEST = 10_000


class Filled:
    """What stands in the slots of a text that fits."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.links: dict[str, set[str]] = {}
        self.wrong: list[tuple[str, str]] = []

    def take(self, slot: str, value: str) -> None:
        """Take what stands in one slot; a merge value is text, and no address."""
        if slot.startswith(LINK):
            self.links.setdefault(slot, set()).add(value)
        elif slot == "address" and _MAILBOX.fullmatch(value):
            return
        elif len(value) > _LONGEST or is_web_address(value):
            self.wrong.append((slot, value))


def fits(
    pieces: Sequence[Piece],
    text: str,
    links: Mapping[str, Link],
    filled: Filled,
    *,
    tag: bool = False,
) -> bool:
    """Match a text against pieces, in linear time: the leftmost place of each constant will do.

    A value may be empty or anything, so if any way of matching exists, this one does. In a `tag`
    it holds no raw quotation mark, with which its attribute would end and another begin.
    """
    runs = list(_runs(pieces))
    values: list[tuple[str, str]] = []
    at = _match(runs[0][1], text, 0, links, values)
    if at is None:
        return False
    for number, (slot, run) in enumerate(runs[1:], 1):
        last = number == len(runs) - 1
        start = _find(run, text, at, links, values, last=last)
        if start is None:
            return False
        begin, after = start
        values.append((slot, text[at:begin]))
        at = after
    if at != len(text):
        return False
    if tag and any('"' in value for _, value in values):
        return False
    for slot, value in values:
        filled.take(slot, unescape(value) if tag else value)
    return True


def is_ours(url: str, link: Link) -> bool:
    """Whether a URL is a link of ours: its beginning exactly, and then a token of that length."""
    token = url[len(link.begins) :]
    whole = url.startswith(link.begins) and len(token) == link.token
    return whole and _TOKEN.fullmatch(token) is not None


def _runs(pieces: Sequence[Piece]) -> Iterator[tuple[str, list[Piece]]]:
    """Cut at merge values: each run has constants and links only, so its length is known."""
    name, run = "", list[Piece]()
    for each in pieces:
        if isinstance(each, Slot) and not each.slot.startswith(LINK):
            yield name, run
            name, run = each.slot, []
        else:
            run.append(each)
    yield name, run


def _size(run: Sequence[Piece], links: Mapping[str, Link]) -> int:
    return sum(
        len(each) if isinstance(each, str) else _length(links[each.slot.removeprefix(LINK)])
        for each in run
    )


def _length(link: Link) -> int:
    return len(link.begins) + link.token


def _match(
    run: Sequence[Piece],
    text: str,
    at: int,
    links: Mapping[str, Link],
    values: list[tuple[str, str]],
) -> int | None:
    """Match a run exactly here; return where it ends."""
    found: list[tuple[str, str]] = []
    for each in run:
        if isinstance(each, str):
            if not text.startswith(each, at):
                return None
            at += len(each)
        else:
            link = links[each.slot.removeprefix(LINK)]
            url = text[at : at + _length(link)]
            if not is_ours(url, link):
                return None
            found.append((each.slot, url))
            at += len(url)
    values += found
    return at


def _find(
    run: Sequence[Piece],
    text: str,
    at: int,
    links: Mapping[str, Link],
    values: list[tuple[str, str]],
    *,
    last: bool,
) -> tuple[int, int] | None:
    """Find a run from here on: at the very end if it is the last one, else as early as it is."""
    if last:
        begin = len(text) - _size(run, links)
        end = _match(run, text, begin, links, values) if begin >= at else None
        return None if end is None else (begin, end)
    if not run:
        return at, at
    first = run[0]
    begins = first if isinstance(first, str) else links[first.slot.removeprefix(LINK)].begins
    begin = text.find(begins, at)
    while begin >= 0:
        end = _match(run, text, begin, links, values)
        if end is not None:
            return begin, end
        begin = text.find(begins, begin + 1)
    return None
