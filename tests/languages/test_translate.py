"""Every text that customers read is marked, gathered, and translated into every language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from jinja2 import nodes

from crm.languages import CATALOGS
from crm.web.pages import environment
from tests import words

_VALUE = re.compile(r"%\((\w+)\)s")
_TAG = re.compile(r"<[^>]*>")
# What is the same in every language: names, paths, classes, and attributes without their element.
_NOT_WORDS = re.compile(
    r"Firsthand|kB|contact\.vcf|copy\.json|/ledger/|/tile/0/|consistency/|tables/|\.csv|sha256|"
    r'portal single|portal|single|<\w+|[\w-]+="[^"]*"|\brequired\b'
)
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_MARKS = {"_", "gettext", "ngettext", "pgettext", "npgettext"}
_SENTENCE = re.compile(r"^[A-Z][a-z]+( [a-z]+|[.?!]$)|[a-z]{2,} [a-z]{2,} [a-z]{2,}")
_ATTRIBUTES = re.compile(r'\b(?:alt|aria-label|placeholder|title)="([^"{]*)"')


def _messages(language: str) -> list[Message]:
    return [each for each in words.catalog(language) if each.id]


def _said(message: Message) -> tuple[str, ...]:
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


@pytest.fixture(scope="module")
def gathered() -> Catalog:
    """Gather for all languages at once, as `make words` does."""
    return words.gathered()


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_a_catalog_is_what_is_gathered(gathered: Catalog, language: str) -> None:
    """`make words` would change nothing."""
    held = (CATALOGS / f"{language}.po").read_text()

    assert words.written(language, gathered, guess=False) == held
    assert not words.catalog(language).obsolete


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_everything_is_translated(language: str) -> None:
    lacking = [
        each.id
        for each in _messages(language)
        if each.fuzzy or not all(form.strip() for form in words.forms(each))
    ]

    assert lacking == []


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_a_translation_has_the_values_of_its_original(language: str) -> None:
    """The number itself may be a word in a form that is for one number only."""
    wrong = []
    for message in _messages(language):
        wanted = {name for said in _said(message) for name in _VALUE.findall(said)}
        for form in words.forms(message):
            found = set(_VALUE.findall(form))
            loose = {"num", "number", "count"} if message.pluralizable else set()
            if found - wanted or wanted - found - loose or "%" in _VALUE.sub("", form):
                wrong.append((message.id, form))

    assert wrong == []


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_a_translation_has_the_markup_of_its_original(language: str) -> None:
    """A quotation mark more would end an attribute that the text stands in."""
    wrong = []
    for message in _messages(language):
        wanted = Counter(_TAG.findall(_said(message)[0]))
        for form in words.forms(message):
            bare = _TAG.sub("", form)
            odd = any(mark in bare for mark in '<>"') or form != form.strip()
            if Counter(_TAG.findall(form)) != wanted or odd:
                wrong.append((message.id, form))

    assert wrong == []


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_a_number_has_every_form(language: str) -> None:
    catalog = words.catalog(language)

    for message in _messages(language):
        if message.pluralizable:
            assert len(words.forms(message)) == catalog.num_plurals, message.id


class _Text(HTMLParser):
    """The words of a piece of markup, without styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._skipped += tag in {"style", "script"}

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in {"style", "script"}

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.words.append(data)


def _unmarked(path: Path) -> Iterator[str]:
    """Find text of a template that no `_()` or `trans` says."""
    source = path.read_text()
    if path.parts[-2] == "letters" and path.suffix == ".txt":
        source = source.removeprefix("Subject: ")
    tree = environment.parse(source)
    flat = "".join(
        part.data if isinstance(part, nodes.TemplateData) else "\0"
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
    )
    text = _Text()
    text.feed(flat)
    for piece in (*text.words, *_ATTRIBUTES.findall(flat), *_bare_sentences(tree)):
        if _LETTERS.search(_NOT_WORDS.sub("", piece)):
            yield " ".join(piece.split())


def _bare_sentences(tree: nodes.Template) -> Iterator[str]:
    """Find sentences given to a macro or printed without being marked."""
    said = {
        id(inner)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in _MARKS
        for inner in call.find_all(nodes.Const)
    }
    # What is looked up by its English, or compared with it, is not printed.
    said |= {id(pair.key) for pair in tree.find_all(nodes.Pair)}
    said |= {id(other.expr) for other in tree.find_all(nodes.Operand)}
    for const in tree.find_all(nodes.Const):
        if isinstance(const.value, str) and id(const) not in said and _SENTENCE.search(const.value):
            yield const.value


@pytest.mark.parametrize(
    "path", words.templates(), ids=lambda path: str(path.relative_to(words.PACKAGE))
)
def test_no_text_of_a_template_is_left_unmarked(path: Path) -> None:
    assert list(_unmarked(path)) == []


_IMPORTED = re.compile(r'{%-? *(?:import|from) "([^"]+)"')
_MACRO = re.compile(r"{%-? *macro .*?{%-? *endmacro *-?%}", re.DOTALL)


def test_what_pages_share_speaks_to_each_reader() -> None:
    """Jinja keeps an imported template: what stands outside its macros is said once, for all."""
    every = words.templates()
    shared = {name for path in every for name in _IMPORTED.findall(path.read_text())}
    hers = [path for path in every if path.relative_to(words.PACKAGE).as_posix() in shared]
    said = {path.name for path in hers if re.search(r"\b_\(", _MACRO.sub("", path.read_text()))}

    assert hers
    assert said == set()
