"""Which names of charsets in mail are believed, and what of its text can be stored and composed.

Python's codecs are more than charsets: those of names of hosts take the square of the length, and
others make something else of the bytes than their writer's letters. To compose a text takes the
square of the marks that stand on one letter, so their number is bounded first.
"""

from __future__ import annotations

import re
import unicodedata
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import cache, lru_cache

# By the names of Python's modules. Only these are looked up: Python keeps each name that it was
# ever asked for, known or not.
_NAMES = """
ascii utf_7 utf_8 utf_8_sig utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le
latin_1 iso8859_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8
iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16
cp037 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861
cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp875 cp932 cp949 cp950 cp1006 cp1026 cp1125 cp1140
cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
big5 big5hkscs gb2312 gbk gb18030 hz johab euc_jp euc_jis_2004 euc_jisx0213 euc_kr
iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr
shift_jis shift_jis_2004 shift_jisx0213
koi8_r koi8_t koi8_u kz1048 ptcp154 tis_620 hp_roman8
mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2 mac_roman
mac_romanian mac_turkish
"""
_CHARSETS = frozenset(_NAMES.split())
_LONGEST_NAME = 40

# UAX #15 §13: so many marks in a row no language needs; the joiner between more looks like nothing.
_MOST_MARKS = 30
_JOINER = "\u034f"
# A character is at most three marks, and two where nothing but marks is in it: whatever a pile of
# 31 begins with, 14 of those follow.
_FEWEST = 14
# Unicode keeps its marks in the first two planes.
_MARKS_END = 0x20000


def charset(name: str) -> str:
    """Return what Python calls the charset that a mail names, or refuse with LookupError."""
    plain = normalize_encoding(name[:_LONGEST_NAME].lower())
    known = aliases.get(plain) or aliases.get(plain.replace(".", "_")) or plain
    if known not in _CHARSETS:
        raise LookupError(known)
    return known


def storable(text: str) -> str:
    """Return text that PostgreSQL takes: no NUL, and no half of a pair of UTF-16.

    Bytes that Python's parser of mail has hidden in halves are read as UTF-8.
    """
    if text.isascii():
        return text.replace("\0", " ")
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "replace")
    return raw.decode("utf-8", "replace").replace("\0", " ")


def composed(text: str) -> str:
    """Return a text in composed form (NFC), a pile of marks in it parted before."""
    return unicodedata.normalize("NFC", parted(text))


def piled(text: str) -> bool:
    """Say whether more marks stand on one letter than any language needs (UAX #15 §13)."""
    return len(parted(text)) > len(text)


def parted(text: str) -> str:
    """Part each pile of marks by joiners that nobody sees, so that to compose it takes no time."""
    if text.isascii() or len(text) < _FEWEST or not _heap().search(text):
        return text
    marks = {char: found for char in set(text) if any(found := _marks(char))}
    if not any(alone for _, alone in marks.values()):
        return text
    pieces, run = [], 0
    for char in text:
        number, alone = marks.get(char, (0, False))
        run = run + number if alone else number
        if run > _MOST_MARKS:
            pieces.append(_JOINER)
            run = number
        pieces.append(char)
    return "".join(pieces)


@cache
def _heap() -> re.Pattern[str]:
    """Find where there may be a pile: a tenth of what it takes to count the marks."""
    alone = [char for char in map(chr, range(_MARKS_END)) if _is_alone(char)]
    near = "".join(char for char in alone if char <= "\uffff")
    far = [char for char in alone if char > "\uffff"]
    # Up to U+FFFF a class is a table, and beyond it a list that is gone through each time.
    one = f"[{near}{far[0]}-{far[-1]}]"
    # By a first that is not repeated `re` looks for where to begin.
    return re.compile(f"{one}{one}{{{_FEWEST - 1}}}")


def _is_alone(char: str) -> bool:
    if not unicodedata.combining(char) and not unicodedata.decomposition(char):
        return False
    return all(map(unicodedata.combining, unicodedata.normalize("NFKD", char)))


@lru_cache(maxsize=4096)
def _marks(char: str) -> tuple[int, bool]:
    """Say how many marks are in a character, and whether there is nothing but marks in it."""
    found = [unicodedata.combining(each) > 0 for each in unicodedata.normalize("NFKD", char)]
    return sum(found), all(found)
