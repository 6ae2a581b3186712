"""The body of a newsletter, cleaned: nothing runs, nothing hides, nothing watches (promise 4)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

import nh3
from markdown_it.common.normalize_url import normalizeLink
from msgspec import Struct

from crm.campaigns import markdown
from crm.campaigns.attached import Placed
from crm.campaigns.merge import MARK, Marks, MergeProblem, literal
from crm.campaigns.source import Kind
from crm.campaigns.tree import Node, every, parsed, plain
from crm.characters import parted

_CONTAINERS = frozenset({
    "address", "article", "aside", "center", "details", "fieldset", "figcaption", "figure",
    "footer", "form", "header", "hgroup", "legend", "main", "nav", "section", "summary",
})  # fmt: skip
_INLINE = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd",
    "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "strong", "sub", "sup", "time", "u",
    "var",
})  # fmt: skip
_TEXT_BLOCKS = frozenset({
    "blockquote", "br", "caption", "col", "colgroup", "dd", "div", "dl", "dt", "h1", "h2", "h3",
    "h4", "h5", "h6", "hr", "img", "li", "ol", "p", "pre", "span", "table", "tbody", "td",
    "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_WITHOUT_CONTENT = frozenset({
    "applet", "audio", "button", "canvas", "iframe", "map", "math", "noscript", "object",
    "select", "script", "style", "svg", "template", "textarea", "title", "video", "xml",
})  # fmt: skip
_JUDGED = {"style", "hidden", "lang", "dir", "align"}
_ATTRIBUTES = {
    "*": _JUDGED,
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
}
_KEPT = frozenset({"lang", "dir", "colspan", "rowspan", "start", "width", "height"})
_SCHEMES = {"https", "http", "mailto", "tel"}
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|opacity\s*:\s*0(?![.\d])"
    r"|(?:font-size|max-height|max-width)\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"(?<![-\w])(?:width|height)\s*:\s*([\d.]+)\s*(?:px|pt)?\s*(?:;|$|!)", re.IGNORECASE
)
_ALIGN = re.compile(r"text-align\s*:\s*(left|right|center)", re.IGNORECASE)
_LOUD = {"script": "script", "form": "form", "iframe": "embedded page", "object": "object"}
# html.parser takes quadratic time over what is never closed; these do not.
_OPENING = re.compile(r"<([A-Za-z][A-Za-z0-9]{0,20})\b[^<>]{0,4000}>")
_ADDRESSES = re.compile(
    r"\s(?:href|src|srcset|style|background|action)\s{0,9}=\s{0,9}(\"[^\"]*|'[^']*|[^\s\"'>]+)",
    re.IGNORECASE,
)
# How a text names a picture that goes with the mail.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\.(?:png|jpe?g|gif|webp)", re.IGNORECASE)
_NOT_ATTACHED = "is not attached. Attach a picture of this name, or write its https address."
_PIXEL = 1.0  # an image no larger than this shows nothing


class Body(Struct, frozen=True):
    """A cleaned body as a tree, with everything that was taken out and why."""

    root: Node
    problems: tuple[MergeProblem, ...]
    warnings: tuple[str, ...]


def clean(
    source: str, kind: Kind, marks: Marks, images: Mapping[str, Placed] | None = None
) -> Body:
    """Clean a marked source; a field in an address is a problem, all else a warning.

    A bare name as the address of a picture is one of `images`, and becomes its address there; a
    name that is none of them is a problem.
    """
    raw = markdown.as_html(source) if kind == "markdown" else source
    tags = _CONTAINERS | _INLINE | _TEXT_BLOCKS
    safe = nh3.clean(
        raw,
        tags=set(tags),
        clean_content_tags=set(_WITHOUT_CONTENT),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes=_SCHEMES,
        link_rel=None,
    )
    cleaner = _Cleaner(marks, _Attached(source, images or {}), *_survey(raw, marks))
    root = Node("", {}, cleaner.children(parsed(safe)))
    _level_headings(root)
    return Body(root, tuple(dict.fromkeys(cleaner.problems)), cleaner.all_warnings())


def _survey(raw: str, marks: Marks) -> tuple[list[MergeProblem], list[str]]:
    """Look at what the sanitiser drops without a word; only the author's messages depend on it."""
    problems: list[MergeProblem] = []
    loud: Counter[str] = Counter()
    for tag in _OPENING.finditer(raw):
        loud[tag[1].lower()] += 1
        if MARK.search(tag[0]):
            for value in _ADDRESSES.findall(tag[0]):
                problems += marks.written(value)
    return problems, [f"Taken out: {_LOUD[tag]} ({loud[tag]})." for tag in _LOUD if loud[tag]]


class _Attached:
    """Pictures that go with the mail, as a source names them."""

    def __init__(self, source: str, images: Mapping[str, Placed]) -> None:
        self._source = source
        self._images = images

    def find(self, name: str) -> Placed | MergeProblem:
        """Return a picture at its place, or that there is none of this name."""
        if name in self._images:
            return self._images[name]
        at = max(self._source.find(name), 0)
        line = self._source.count("\n", 0, at) + 1
        return MergeProblem(line, name, _NOT_ATTACHED)


class _Cleaner:
    def __init__(
        self, marks: Marks, attached: _Attached, problems: list[MergeProblem], warnings: list[str]
    ) -> None:
        self.problems = problems
        self._warnings = dict.fromkeys(warnings)
        self._marks = marks
        self._attached = attached
        self._inside = 0
        self._open = 0

    def all_warnings(self) -> tuple[str, ...]:
        """Return each warning once; what occurs often is counted."""
        counted = []
        if self._inside:
            counted.append(
                f"{self._inside} links to a place inside the page do not work in a mail: text only."
            )
        if self._open:
            counted.append(f"{self._open} links are http, not https: anybody on the way can read.")
        return (*self._warnings, *counted)

    def children(self, node: Node) -> list[Node | str]:
        out: list[Node | str] = []
        for child in node.children:
            if isinstance(child, str):
                out.append(literal(child))
            else:
                out += self._node(child)
        return out

    def _node(self, node: Node) -> list[Node | str]:
        if _hidden(node):
            return self._conceal(node)
        if node.tag == "img":
            return self._image(node)
        children = self.children(node)
        if node.tag == "a":
            return self._link(node, children)
        if node.tag in {"span", "col", "colgroup"}:
            named = node.attributes.keys() & {"lang", "dir"}
            return [Node("span", _kept(node), children)] if named else children
        cleaned = Node("div" if node.tag in _CONTAINERS else node.tag, _kept(node), children)
        if node.tag == "table":
            _describe_table(cleaned)
        empty = node.tag in {"p", "div"} and not _shows(cleaned)
        return [] if empty else [cleaned]

    def _conceal(self, node: Node) -> list[Node | str]:
        if node.tag == "img":
            self._warn(f"Hidden image taken out: {_short(node.attributes.get('src', ''))}")
        elif _shows(node):
            self._warn(f"Hidden text taken out: {_short(plain(node))}")
        return []

    def _link(self, node: Node, children: list[Node | str]) -> list[Node | str]:
        href = literal(node.attributes.get("href", "")).strip()
        if not _shows(Node("a", {}, children)):
            return []
        if self._marked(href) or not href:
            return children
        if href.startswith("#"):
            self._inside += 1
            return children
        if not _absolute(href):
            self._warn(f"Link without a full address taken out: {_short(href)}")
            return children
        self._open += href.lower().startswith("http:")
        return [Node("a", {"href": normalizeLink(href)}, children)]

    def _image(self, node: Node) -> list[Node | str]:
        src = literal(node.attributes.get("src", "")).strip()
        alt = literal(node.attributes.get("alt", "")).strip()
        if self._marked(src):
            return []
        if _pixel(node):
            self._warn(f"Invisible image taken out: {_short(src)}")
            return []
        if _NAME.fullmatch(src):
            return self._attachment(node, src, alt)
        if not src.lower().startswith("https://") or not _absolute(src):
            self._warn(f"Image without a full https address taken out: {_short(src or alt)}")
            return [alt] if alt else []
        if "alt" not in node.attributes:
            self._warn(f"Image without a description (alt): {_short(src)}")
        return [Node("img", {"src": normalizeLink(src), "alt": alt, **_kept(node)}, [])]

    def _attachment(self, node: Node, name: str, alt: str) -> list[Node | str]:
        found = self._attached.find(name)
        if isinstance(found, MergeProblem):
            self.problems.append(found)
            return []
        if not alt:
            self._warn(f"Image without a description (alt): {name}")
        written = {"src": found.address, "alt": alt, **_kept(node)}
        return [Node("img", written | found.sized(written), [])]

    def _marked(self, url: str) -> bool:
        self.problems += self._marks.written(url)
        return MARK.search(url) is not None

    def _warn(self, sentence: str) -> None:
        self._warnings[sentence] = None


def _kept(node: Node) -> dict[str, str]:
    kept = {name: value for name, value in node.attributes.items() if name in _KEPT}
    kept = {name: value for name, value in kept.items() if re.fullmatch(r"[\w%-]+", value)}
    style = _ALIGN.search(node.attributes.get("style", ""))
    align = style[1].lower() if style else node.attributes.get("align", "").lower()
    if align in {"left", "right", "center"} and node.tag != "img":
        kept["align"] = align
    return kept


def _hidden(node: Node) -> bool:
    style = node.attributes.get("style", "")
    return "hidden" in node.attributes or _HIDING.search(style) is not None


def _pixel(node: Node) -> bool:
    sizes = [node.attributes.get("width", ""), node.attributes.get("height", "")]
    sizes += _SIZE.findall(node.attributes.get("style", ""))
    numbers = [re.match(r"\s*(\d+(?:\.\d+)?)(?!\s*%|[\d.])", size) for size in sizes]
    return any(number is not None and float(number[1]) <= _PIXEL for number in numbers)


def _absolute(url: str) -> bool:
    try:
        parts = urlsplit(parted(url))
    except ValueError:
        return False
    needs_host = parts.scheme in {"https", "http"}
    return parts.scheme in _SCHEMES and bool(parts.hostname if needs_host else parts.path)


def _shows(node: Node) -> bool:
    return bool(plain(node).strip()) or any(every(node, "img", "hr", "br"))


def _describe_table(table: Node) -> None:
    """A table with header cells holds data; any other is layout, and screen readers are told so."""
    if not any(every(table, "th")):
        table.attributes["role"] = "presentation"
        return
    for row in every(table, "tr"):
        cells = [cell for cell in row.children if isinstance(cell, Node)]
        heads = [cell for cell in cells if cell.tag == "th"]
        for cell in heads:
            cell.attributes["scope"] = "col" if len(heads) == len(cells) else "row"


def _level_headings(root: Node) -> None:
    """One h1, and no level left out, as a screen reader's list of headings needs it."""
    headings = list(every(root, "h1", "h2", "h3", "h4", "h5", "h6"))
    # A body that does not begin with an h1 gets the subject as its h1.
    seen = bool(headings) and headings[0].tag != "h1"
    last = 1
    for heading in headings:
        level = min(int(heading.tag[1]), last + 1)
        if level == 1 and seen:
            level = 2
        seen = seen or level == 1
        heading.tag = f"h{level}"
        last = level


def _short(text: str) -> str:
    text = " ".join(literal(text).split())
    return f"{text[:80]}…" if len(text) > 80 else text  # noqa: PLR2004
