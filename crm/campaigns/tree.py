"""HTML as a small tree: read from what the sanitiser wrote, written again all escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser

from msgspec import Struct

from crm.errors import Invalid

VOID = frozenset({"br", "hr", "img"})
BLOCKS = frozenset({
    "blockquote", "caption", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
_DEEPEST = 100  # a newsletter has about 20; the walkers below call themselves


class Node(Struct):
    """One element; text is a plain string among its children."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str]


def parsed(fragment: str) -> Node:
    """Read well-formed HTML; one nested deeper than any newsletter is refused."""
    reader = _Reader()
    reader.feed(fragment)
    reader.close()
    return reader.open[0]


def written(node: Node) -> str:
    """Write the children of `node` as HTML."""
    return "".join(_written(child) for child in node.children)


def every(node: Node, *tags: str) -> Iterator[Node]:
    """Yield the elements of these names below `node`, in reading order."""
    for child in node.children:
        if isinstance(child, Node):
            if child.tag in tags:
                yield child
            yield from every(child, *tags)


def plain(node: Node | str) -> str:
    """Return the bare characters of a node."""
    if isinstance(node, str):
        return node
    return "".join(plain(child) for child in node.children)


def _written(node: Node | str) -> str:
    if isinstance(node, str):
        return escape(node, quote=False).replace("\N{NO-BREAK SPACE}", "&nbsp;")
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in node.attributes.items())
    if node.tag in VOID:
        return f"<{node.tag}{attributes}>"
    # The parser drops a line feed right after <pre>: write one that may be dropped.
    first = "\n" if node.tag == "pre" else ""
    return f"<{node.tag}{attributes}>{first}{written(node)}</{node.tag}>"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("", {}, [])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, [])
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)
        if len(self.open) > _DEEPEST:
            raise Invalid(f"The HTML is nested more than {_DEEPEST} levels deep. Simplify it.")

    def handle_endtag(self, tag: str) -> None:
        if any(node.tag == tag for node in self.open[1:]):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        last = self.open[-1].children
        if last and isinstance(last[-1], str):
            last[-1] += data
        else:
            last.append(data)
