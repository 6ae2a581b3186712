"""The text part: the same words, links and tables as the HTML, in lines of 72 columns."""

from __future__ import annotations

import re
from itertools import zip_longest
from unicodedata import combining, east_asian_width

from crm.campaigns.merge import MARK
from crm.campaigns.tree import BLOCKS, Node, every, plain

WIDTH = 72
_NARROWEST = 24  # deep lists and quotations keep this much
_VALUE = 10  # columns a merge value takes on the whole; its length is not known yet
_INDENT = "    "
# Chinese, Japanese and Korean break between any two characters, but not before a closing one.
_UNITS = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]"
    "[\u3001\u3002\u3009\u300b\u300d\u300f\u3011\u3015\uff01\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\u30fc]*"
    "|[^\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]+"
)
_SIGNS = {"code": "`", "strong": "*", "b": "*"}
_UNDERLINES = {"h1": "=", "h2": "-"}


def as_text(root: Node) -> str:
    """Return the body as plain text; links are numbered, their addresses listed at the end."""
    links: dict[str, int] = {}
    blocks = _blocks(root, WIDTH, links)
    if links:
        listed = [f"[{number}] {link}" for link, number in links.items()]
        blocks += [["-" * 20], listed]
    text = "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """Break lines at spaces (and between CJK characters); an address is never broken."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line, columns = "", 0
        for word in paragraph.split(" "):
            blank = " " if line else ""
            for unit in [word] if "://" in word else _UNITS.findall(word):
                size = _columns(unit)
                if line and columns + len(blank) + size > width:
                    lines.append(line)
                    line, columns, blank = "", 0, ""
                line += blank + unit
                columns += len(blank) + size
                blank = ""
        lines.append(line)
    return lines


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    marks = len(MARK.findall(text))
    wide = sum(east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(combining(letter) > 0 for letter in text) + marks * (_VALUE - 1)


def _blocks(node: Node, width: int, links: dict[str, int]) -> list[list[str]]:
    """Return blocks, each a list of lines; text between block elements is a paragraph too."""
    width = max(width, _NARROWEST)
    out: list[list[str]] = []
    run = ""
    for child in node.children:
        if isinstance(child, Node) and (child.tag in BLOCKS or any(every(child, *BLOCKS))):
            out += [_paragraph(run, width), *_block(child, width, links)]
            run = ""
        else:
            run += _inline(child, links)
    return [block for block in (*out, _paragraph(run, width)) if block]


def _paragraph(run: str, width: int) -> list[str]:
    lines = [" ".join(line.split(" ")).strip() for line in run.split("\n")]
    text = re.sub(r" {2,}", " ", "\n".join(lines)).strip("\n ")
    return wrapped(text, width) if text else []


def _block(node: Node, width: int, links: dict[str, int]) -> list[list[str]]:
    if node.tag in {"ul", "ol"}:
        return _list(node, width, links)
    if node.tag == "table" and node.attributes.get("role") != "presentation":
        return _table(node, width, links)
    if node.tag in {"blockquote", "dd"}:
        sign = "> " if node.tag == "blockquote" else _INDENT
        inside = _blocks(node, width - len(sign), links)
        joined = [line for block in inside for line in (*block, "")][:-1]
        return [[f"{sign}{line}".rstrip() for line in joined]]
    if node.tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
        return [_heading(node, width, links)]
    if node.tag in {"pre", "hr"}:
        lines = plain(node).strip("\n").split("\n")
        return [["* * *"] if node.tag == "hr" else [_INDENT + line for line in lines]]
    return _blocks(node, width, links)


def _heading(node: Node, width: int, links: dict[str, int]) -> list[str]:
    lines = _paragraph("".join(_inline(child, links) for child in node.children), width)
    longest = min(max(map(_columns, lines), default=0), width)
    return [*lines, _UNDERLINES[node.tag] * longest] if node.tag in _UNDERLINES else lines


def _list(node: Node, width: int, links: dict[str, int]) -> list[list[str]]:
    items: list[list[str]] = []
    start = node.attributes.get("start", "1")
    number = int(start) if re.fullmatch(r"\d{1,9}", start) else 1
    tight = not any(every(node, "p"))
    for child in node.children:
        if not isinstance(child, Node):
            continue
        sign = f"{number}. " if node.tag == "ol" else "- "
        number += 1
        blocks = _blocks(child, width - len(sign), links)
        lines = [line for block in blocks for line in ((*block,) if tight else (*block, ""))]
        lines = lines if tight else lines[:-1]
        blank = " " * len(sign)
        items.append([(blank if at else sign) + line for at, line in enumerate(lines)] or [sign])
    return [[line for item in items for line in item]] if tight else items


def _table(node: Node, width: int, links: dict[str, int]) -> list[list[str]]:
    caption = [_paragraph(_inline(caption, links), width) for caption in every(node, "caption")]
    rows = [
        [
            " ".join(_paragraph("".join(_inline(c, links) for c in cell.children), 10_000))
            for cell in row.children
            if isinstance(cell, Node)
        ]
        for row in every(node, "tr")
    ]
    rows = [row for row in rows if any(row)]
    sizes = [max(map(_columns, column)) for column in zip_longest(*rows, fillvalue="")]
    if sum(sizes) + 2 * len(sizes) <= width:
        lines = ["  ".join(_padded(c, n) for c, n in zip(row, sizes, strict=False)) for row in rows]
        lines.insert(1, "  ".join("-" * size for size in sizes))
        return [*caption, lines]
    return [*caption, *_records(rows, width)]


def _records(rows: list[list[str]], width: int) -> list[list[str]]:
    """A table too wide for columns: one block for each row, every value after its heading."""
    heads, body = rows[0], rows[1:] or [[]]
    out = []
    for row in body:
        block: list[str] = []
        for head, value in zip_longest(heads, row, fillvalue=""):
            text = f"{head}: {value}" if head else value
            first, *more = wrapped(text, width - 2)
            block += [first, *(f"  {line}" for line in more)] if value else []
        out.append(block)
    return out


def _padded(cell: str, size: int) -> str:
    return cell + " " * (size - _columns(cell))


def _inline(node: Node | str, links: dict[str, int]) -> str:
    if isinstance(node, str):
        return re.sub(r"[ \t\r\n\f]+", " ", node)
    if node.tag in {"br", "img"}:
        alt = node.attributes.get("alt", "")
        return f"[{alt}]" if alt else "\n" * (node.tag == "br")
    inside = "".join(_inline(child, links) for child in node.children)
    if node.tag == "a":
        return _link(inside, node.attributes["href"], links)
    sign = _SIGNS.get(node.tag, "")
    bare = inside.strip()
    if sign and bare:
        inside = inside.replace(bare, f"{sign}{bare}{sign}")
    return f" {inside} " if node.tag in BLOCKS else inside


def _link(inside: str, href: str, links: dict[str, int]) -> str:
    if inside.strip() in {href, href.removeprefix("mailto:"), href.removeprefix("tel:")}:
        return inside
    return f"{inside} [{links.setdefault(href, len(links) + 1)}]"
