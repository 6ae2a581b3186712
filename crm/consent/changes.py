"""What changes between two versions of a purpose or a text, and whether consents survive it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from crm.consent.terms import Terms

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
# Pairs of words that are compared for one passage: some 250 words on either side, and the spaces
# between them.
_PASSAGE = 250_000
# And for one page, whatever is on it: a fifth of a second, in which nobody else is served.
_PAGE = 1_000_000
# A way from a pair of words to the end of both texts: by a word that both have, or past one.
_SAME, _GONE, _COME = range(3)

Pairs = list[tuple[int, int]]


class Piece(Struct, frozen=True):
    """Words that are in both texts, or only in the old (`gone`) or the new one (`come`)."""

    kind: str
    words: str


class Work(Struct):
    """How many pairs of words may yet be compared for one page."""

    left: int = _PAGE

    def takes(self, pairs: int) -> bool:
        """Take so many, or say that they are too many."""
        if pairs > min(self.left, _PASSAGE):
            return False
        self.left -= pairs
        return True


def by_words(old: str, new: str, work: Work | None = None) -> list[Piece]:
    """Compare two texts word by word; together the pieces are both of them.

    A passage that would take more than there is left of the `work` is gone and come as a whole. The
    texts of one page share it: whoever wrote them, the comparison holds nobody up.
    """
    before, after = _WORD.findall(old), _WORD.findall(new)
    pairs = _paired(before, after, work or Work(), split=True)
    hunks = []
    i = j = 0
    for low, first, count in _runs(pairs, len(before), len(after)):
        gone, come, same = before[i:low], after[j:first], before[low : low + count]
        hunks.append(("".join(gone), "".join(come), "".join(same)))
        i, j = low + count, first + count
    return list(_pieces(hunks))


def changed(old: Terms, new: Terms) -> list[str]:
    """Name the fields that differ."""
    return [name for name in Terms.__struct_fields__ if getattr(old, name) != getattr(new, name)]


def substance(old: Terms, new: Terms) -> list[str]:
    """Name what somebody who agreed to the old version did not agree to in the new one.

    More data, recipients, places or decisions by program, another basis or channel. Less of it, and
    other words for the same, leave consents as they are.
    """
    more = {
        "data": {each.kind for each in new.data} - {each.kind for each in old.data},
        "recipients": {_party(new, n) for n in range(len(new.recipients))}
        - {_party(old, n) for n in range(len(old.recipients))},
        "storage": set(new.storage) - set(old.storage),
    }
    found = [name for name, added in more.items() if added]
    if new.automated_decisions and not old.automated_decisions:
        found.append("automated_decisions")
    other = ("basis", "channel", "special_category")
    return found + [name for name in other if getattr(old, name) != getattr(new, name)]


def _party(terms: Terms, number: int) -> tuple[str, str, str]:
    party = terms.recipients[number]
    return party.name.casefold(), party.role.casefold(), party.country


def _pieces(hunks: Sequence[tuple[str, str, str]]) -> Iterator[Piece]:
    """What is gone, come and the same, with words replaced one after the other as one piece."""
    gone = come = ""
    for number, (less, more, same) in enumerate(hunks, 1):
        gone, come = gone + less, come + more
        follows = number < len(hunks) and all(hunks[number][:2])
        if same.isspace() and less and more and follows:
            gone, come = gone + same, come + same
            continue
        said = {"gone": gone, "come": come, "same": same}
        yield from (Piece(kind, words) for kind, words in said.items() if words)
        gone = come = ""


def _runs(pairs: Pairs, before: int, after: int) -> Iterator[tuple[int, int, int]]:
    """Where the same words begin in both texts, and how many; at the end of both there are none."""
    start = 0
    for number, (low, first) in enumerate(pairs, 1):
        if pairs[number : number + 1] != [(low + 1, first + 1)]:
            count = number - start
            yield low + 1 - count, first + 1 - count, count
            start = number
    yield before, after, 0


def _paired(before: list[str], after: list[str], work: Work, *, split: bool) -> Pairs:
    """Pair words that are in both texts, in order: as many as can be, if `work` is left for it.

    Else the passages between words that are certain are paired, where `split` lets it.
    """
    head = _alike(before, after)
    tail = _alike(before[head:][::-1], after[head:][::-1])
    inner, other = before[head : len(before) - tail], after[head : len(after) - tail]
    if work.takes(len(inner) * len(other)):
        found = _longest(inner, other)
    else:
        found = _between(inner, other, work) if split else []
    return [
        *((n, n) for n in range(head)),
        *((low + head, first + head) for low, first in found),
        *((len(before) - n, len(after) - n) for n in range(tail, 0, -1)),
    ]


def _alike(before: Sequence[str], after: Sequence[str]) -> int:
    """How many words both begin with."""
    count = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        count += 1
    return count


def _between(before: list[str], after: list[str], work: Work) -> Pairs:
    """Pair the words that stand once in either text, and what is between them."""
    pairs: Pairs = []
    i = j = 0
    for low, first in [*_once(before, after), (len(before), len(after))]:
        passage = _paired(before[i:low], after[j:first], work, split=False)
        pairs += [(i + n, j + m) for n, m in passage]
        if low < len(before):
            pairs.append((low, first))
        i, j = low + 1, first + 1
    return pairs


def _once(before: list[str], after: list[str]) -> Pairs:
    """The most words that stand once in either text, and in the same order in both."""
    here, there = Counter(before), Counter(after)
    places = {word: place for place, word in enumerate(after) if there[word] == 1}
    # Of the rows of rising places, for each length the one that ends lowest: where, and with whom.
    ends: list[int] = []
    last: Pairs = []
    follows: dict[tuple[int, int], tuple[int, int] | None] = {}
    for low, word in enumerate(before):
        if here[word] > 1 or word not in places:
            continue
        pair = (low, places[word])
        length = bisect_left(ends, pair[1])
        follows[pair] = last[length - 1] if length else None
        ends[length : length + 1] = [pair[1]]
        last[length : length + 1] = [pair]
    found: Pairs = []
    step = last[-1] if last else None
    while step is not None:
        found.append(step)
        step = follows[step]
    return found[::-1]


def _longest(before: list[str], after: list[str]) -> Pairs:
    """The longest common row of words; takes a step for each pair of them."""
    wide = len(after)
    ways = [bytearray(wide) for _ in before]
    below = [0] * (wide + 1)
    for i in range(len(before) - 1, -1, -1):
        word, way, here = before[i], ways[i], [0] * (wide + 1)
        for j in range(wide - 1, -1, -1):
            if word == after[j]:
                here[j] = below[j + 1] + 1
            elif below[j] >= here[j + 1]:
                here[j], way[j] = below[j], _GONE
            else:
                here[j], way[j] = here[j + 1], _COME
        below = here
    pairs: Pairs = []
    i = j = 0
    while i < len(before) and j < wide:
        way_on = ways[i][j]
        if way_on == _SAME:
            pairs.append((i, j))
        i, j = i + (way_on != _COME), j + (way_on != _GONE)
    return pairs
