"""Markdown (CommonMark with tables and strikethrough) to HTML that has yet to be cleaned."""

from __future__ import annotations

import re
from html import escape

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_TAG = re.compile(r"\s*</?([A-Za-z][A-Za-z0-9:-]*)")
# What is in no list of HTML elements is prose: `Vec<T>` is shown, `<img>` is an image.
_ELEMENTS = frozenset({
    "a", "abbr", "acronym", "address", "applet", "area", "article", "aside", "audio", "b",
    "base", "basefont", "bdi", "bdo", "big", "blink", "blockquote", "body", "br", "button",
    "canvas", "caption", "center", "cite", "code", "col", "colgroup", "data", "datalist", "dd",
    "del", "details", "dfn", "dialog", "dir", "div", "dl", "dt", "em", "embed", "fieldset",
    "figcaption", "figure", "font", "footer", "form", "frame", "frameset", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "header", "hgroup", "hr", "html", "i", "iframe", "img", "input",
    "ins", "kbd", "label", "legend", "li", "link", "main", "map", "mark", "marquee", "math",
    "menu", "meta", "meter", "nav", "nobr", "noframes", "noscript", "object", "ol", "optgroup",
    "option", "output", "p", "param", "picture", "pre", "progress", "q", "rp", "rt", "ruby", "s",
    "samp", "script", "search", "section", "select", "slot", "small", "source", "span", "strike",
    "strong", "style", "sub", "summary", "sup", "svg", "table", "tbody", "td", "template",
    "textarea", "tfoot", "th", "thead", "time", "title", "tr", "track", "tt", "u", "ul", "var",
    "video", "wbr", "xml",
})  # fmt: skip


class _Parser(MarkdownIt):
    """Hands on every address as written: `body` judges them, for Markdown and HTML alike."""

    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802
        return True

    def normalizeLink(self, url: str) -> str:  # noqa: N802
        return url


def as_html(source: str) -> str:
    """Return HTML in which tags the author wrote are still tags; it must be cleaned before use."""
    return str(_parser.render(source))


def _prose(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "html_block" and not _is_element(token):
            token.content = f"<p>{escape(token.content)}</p>\n"
        for child in token.children or ():
            if child.type == "html_inline" and not _is_element(child):
                child.type = "text"


def _is_element(token: Token) -> bool:
    found = _TAG.match(token.content)
    return found is None or found[1].lower() in _ELEMENTS or ":" in found[1]


_parser = _Parser("commonmark", {"html": True}).enable(["table", "strikethrough"])
_parser.core.ruler.push("prose", _prose)
