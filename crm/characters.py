"""Which names of charsets in mail are believed, and what of its text can be stored.

Python's codecs are more than charsets: those of names of hosts take the square of the length, and
others make something else of the bytes than their writer's letters.
"""

from __future__ import annotations

from encodings import normalize_encoding
from encodings.aliases import aliases

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
