"""HTML of a final message as a flat row of tokens, each with its line; read in one pass.

A tokeniser of our own: it reads what mail programs read, comments for Outlook included, and it
takes linear time over whatever somebody pastes into a public page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.entities import html5
from string import ascii_lowercase, ascii_uppercase

from msgspec import Struct

# Blanks are those of HTML: to Python there are more of them, which hide what stands behind.
_NAME = re.compile(r"/?[A-Za-z][^ \t\n\f\r/>]*")
# A name may begin with `=`, and is then another one than without it.
_ATTRIBUTE = re.compile(
    r"""(=[^ \t\n\f\r/>=]*+|[^ \t\n\f\r/>=]++)(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+"""
    r"""(?:"([^"]*)"|'([^']*)'|([^ \t\n\f\r>"'][^ \t\n\f\r>]*+)|))?"""
)
_BETWEEN = re.compile(r"[ \t\n\f\r/]++")
# Python folds letters into these that HTML does not, as the sign of the kelvin.
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
# Not `noscript`: mail programs run no scripts, so they show what is in it.
_RAW = frozenset({"script", "style", "title", "textarea", "xmp"})
_CSS_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})\s?|(.))", re.DOTALL)
# What looks like a comment in a string, or in parentheses (an address without quotes), is none;
# a string without end ends with its line.
_CSS_COMMENT = re.compile(
    r"""(\\.|"(?:[^"\\\n\f\r]|\\.)*+"?|'(?:[^'\\\n\f\r]|\\.)*+'?|\((?:[^()"'\\]|\\.)*)"""
    r"""|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
# What takes an address as a string, or keeps a string for what does. A name with `--` in it, as
# `.button--primary:hover`, keeps nothing.
_TAKING = r"(?:image-set|imageloader|cross-fade|\bimage|\bsrc)\s*+\(|\binitial-value\s*+:"
_CSS_STRINGS = re.compile(rf"{_TAKING}|(?<![^{{}};\s])--", re.IGNORECASE)
_CSS_WHOLE = (
    r"""\"[^\"\n\f\r]*+\"|'[^'\n\f\r]*+'"""
    r"""|url\([ \t\n\f\r]*+[^\"'() \t\n\f\r][^\"'()]*+\)"""
)
# Each of them to the end of its declaration; a semicolon in an address or a string is none.
_CSS_KEPT = re.compile(
    rf"((?:{_TAKING}|(?<![^{{}};\s])--[^ \t\n\f\r:;{{}}()\"']*+\s*+:)"
    rf"(?:{_CSS_WHOLE}|[^;}}\"'])*+)|{_CSS_WHOLE}",
    re.IGNORECASE,
)
# Where quotes come in pairs, and none stands in an address without quotes.
_CSS_EVEN = re.compile(
    rf"(?:{_CSS_WHOLE}|(?!url\([ \t\n\f\r]*+[^\"'() \t\n\f\r])[^\"'])*+\Z", re.IGNORECASE
)
# Of an escape these shift where names, strings and declarations end.
_CSS_ENDS = frozenset("\"'\\;{}()[] \t\n\f\r")
_CSS_SELECTED = re.compile(r"""\[[^\[\]()"'=]*+=\s*+(?:"[^"]*+"|'[^']*+')[^\[\]()"']*+\]""")
_CSS_STRING = re.compile(r"""(?<=["'])[^"']+""")
_CSS_REMOTE = re.compile(r"(?:https?|ftp|file|wss?):|[\\/]{2}", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x20\x7f]+")
_COMMENT_END = re.compile(r"--!?>")
# What a program that takes the element around it for raw text, such as noscript, noframes,
# noembed or iframe, reads as markup.
_HIDDEN = re.compile(r"</[A-Za-z]")
_CSS_URL = re.compile(r"""\burl\(\s*(?:"([^"]*)"|'([^']*)'|([^)"']*))\s*\)?""", re.IGNORECASE)
_CSS_IMPORT = re.compile(r"""@import\s+(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_CSS_IMAGE_SET = re.compile(r"""image-set\(\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
# Python refuses to read numbers of thousands of digits.
_LONG_NUMBER = re.compile(r"&#(?=[0-9]{100})0*([0-9]{0,8})[0-9]*")
_NUMBER = re.compile(r"&#(?:[xX]([0-9A-Fa-f]++)|([0-9]++));?")
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*+)([;=]?)")
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


class Token(Struct, frozen=True):
    """A tag (`name`, `/name`), a text (no name), a comment (`!`), or the inside of a style."""

    line: int
    name: str
    attributes: tuple[tuple[str, str], ...] = ()
    text: str = ""
    # Whether only some programs read it, as Outlook what is in a conditional comment.
    aside: bool = False

    def get(self, name: str) -> str:
        """Return the first attribute of this name, or nothing; as browsers do."""
        return next((value for known, value in self.attributes if known == name), "")

    def has(self, name: str) -> bool:
        """Whether the attribute is there at all."""
        return any(known == name for known, _ in self.attributes)


def tokens(
    html: str, *, line: int = 1, aside: bool = False, swallowed: bool = False
) -> Iterator[Token]:
    """Read HTML; what a comment, a style or a value hides follows it, as `aside` tokens.

    Of what is `swallowed` by a style no further style is looked into: that could go on for long.
    """
    at = 0
    for kind, start, end in _spans(html):
        line += html.count("\n", at, start)
        at = start
        piece = html[start:end]
        if kind == "text":
            yield Token(line, "", text=_characters(piece), aside=aside)
        elif kind == "raw":
            yield Token(line, "=", text=piece, aside=aside)
            if not swallowed and _HIDDEN.search(piece):
                yield from tokens(piece, line=line, aside=True, swallowed=True)
        elif kind == "comment":
            yield Token(line, "!", text=piece, aside=aside)
            if not aside and "<" in piece[4:]:
                yield from tokens(_inside(piece), line=line, aside=True)
        else:
            tag = _tag(piece, line, aside=aside)
            yield tag
            for _, value in tag.attributes:
                if not aside and _HIDDEN.search(value):
                    yield from tokens(value, line=line, aside=True)


def _inside(comment: str) -> str:
    """Return what a comment holds, where no further comment hides anything."""
    return re.sub(r"--!?>\Z", "", comment[4:]).replace("<!--", " ")


def _spans(html: str) -> Iterator[tuple[str, int, int]]:
    at, size = 0, len(html)
    while at < size:
        opened = html.find("<", at)
        if opened < 0:
            yield "text", at, size
            return
        if opened > at:
            yield "text", at, opened
        kind, end = _span(html, opened)
        yield kind, opened, end
        at = end
        name = _NAME.match(html, opened + 1) if kind == "tag" else None
        if name and name[0].lower() in _RAW:
            closed = _closing(html, name[0].lower(), at)
            if closed > at:
                yield "raw", at, closed
            at = closed


def _span(html: str, at: int) -> tuple[str, int]:
    if html.startswith("<!--", at):
        return "comment", _end_of_comment(html, at + 4)
    if html.startswith(("<!", "<?"), at):
        end = html.find(">", at)
        return "comment", len(html) if end < 0 else end + 1
    name = _NAME.match(html, at + 1)
    if name:
        return "tag", _end_of_tag(html, name.end())
    # An end of nothing is a comment, up to the end of the next tag.
    if html.startswith("</", at) and at + 2 < len(html):
        return "comment", html.find(">", at) + 1 or len(html)
    return "text", at + 1


def _end_of_comment(html: str, at: int) -> int:
    for empty in (">", "->"):
        if html.startswith(empty, at):
            return at + len(empty)
    found = _COMMENT_END.search(html, at)
    return found.end() if found else len(html)


def _end_of_tag(html: str, at: int) -> int:
    while at < len(html):
        if html[at] == ">":
            return at + 1
        found = _BETWEEN.match(html, at) or _ATTRIBUTE.match(html, at)
        at = found.end() if found else at + 1
    return len(html)


def _closing(html: str, name: str, at: int) -> int:
    found = re.compile(rf"</{name}(?=[ \t\n\f\r/>])", re.IGNORECASE | re.ASCII).search(html, at)
    return found.start() if found else len(html)


def _tag(piece: str, line: int, *, aside: bool) -> Token:
    found = _NAME.match(piece, 1)
    name = found[0] if found else ""
    attributes = []
    at = 1 + len(name)
    while at < len(piece) and piece[at] != ">":
        each = _ATTRIBUTE.match(piece, at)
        if each is None:
            between = _BETWEEN.match(piece, at)
            at = between.end() if between else at + 1
            continue
        value = next((group for group in each.groups()[1:] if group is not None), "")
        attributes.append((each[1].translate(_LOWER), _characters(_NAMED.sub(_known, value))))
        at = each.end()
    return Token(line, name.translate(_LOWER), tuple(attributes), aside=aside)


def _characters(text: str) -> str:
    return unescape(_NUMBER.sub(_number, _LONG_NUMBER.sub(r"&#0\1", text)))


def _number(found: re.Match[str]) -> str:
    """Keep what Python drops: a control character, which breaks the address that it stands in."""
    if unescape(found[0]):
        return found[0]
    return chr(int(found[1], 16) if found[1] else int(found[2]))


def _known(found: re.Match[str]) -> str:
    """Of a value only whole names are entities, those without a semicolon not before `=`."""
    known = f"{found[1]};" in html5 if found[2] == ";" else not found[2] and found[1] in html5
    return found[0] if known else f"&amp;{found[0][1:]}"


def css(text: str) -> str:
    """Return CSS without comments and escapes, which hide addresses and names."""
    return _CSS_ESCAPE.sub(_unescaped, _bare(text))


def _bare(text: str) -> str:
    return _CSS_COMMENT.sub(r"\1", text.replace("\r\n", "\n"))


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is None:
        return "" if found[2] == "\n" else found[2]
    code = int(found[1], 16)
    known = 0 < code <= _LAST and code not in _SURROGATES
    return chr(code) if known else "\N{REPLACEMENT CHARACTER}"


def addresses(style: str) -> list[str]:
    """List the URLs that a style sheet or a style attribute loads."""
    clean = css(style)
    found = [*_CSS_URL.finditer(clean), *_CSS_IMPORT.finditer(clean)]
    found += _CSS_IMAGE_SET.finditer(clean)
    listed = [next((g for g in each.groups() if g), "").strip() for each in found]
    if _CSS_STRINGS.search(clean):
        listed += [each for each in _kept(style, clean) if _CSS_REMOTE.match(_squeezed(each))]
    return list(dict.fromkeys(listed))


def _kept(style: str, clean: str) -> list[str]:
    """List the strings of declarations that load them; all strings where we may miscount quotes."""
    shifted = any(_unescaped(each) in _CSS_ENDS for each in _CSS_ESCAPE.finditer(_bare(style)))
    places = [clean]
    if not shifted and _CSS_EVEN.match(clean):
        kept = (each[1] for each in _CSS_KEPT.finditer(clean) if each[1])
        places = [_CSS_SELECTED.sub(" ", each) for each in kept]
    # Each text between two quotes: a quote that was escaped does not shift what is looked at.
    return [each.strip() for place in places for each in _CSS_STRING.findall(place)]


def _squeezed(text: str) -> str:
    return _CONTROL.sub("", text)


def declarations(style: str) -> dict[str, str]:
    """Read a style attribute: property to value, the last one wins; `!important` is taken off."""
    found = {}
    for each in css(style).split(";"):
        name, colon, value = each.partition(":")
        if colon:
            found[name.strip().lower()] = value.replace("!important", "").strip().lower()
    return found
