"""Gathers every text that customers read, and keeps the catalogs of translations up with them.

`make words` (or `python -m tests.words`) writes the catalogs anew; docs/languages.md says how to
go on from there.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from msgspec import Struct

from crm.languages import CATALOGS, ENGLISH, LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "crm"
TRANSLATED = tuple(each for each in LANGUAGES if each != ENGLISH)

# The console speaks English: what only staff read is not gathered.
_CONSOLE = '{% extends "web/pages/console.html" %}'
STAFF_TEMPLATES = {
    "access/letters/member_news.html",
    "access/letters/member_news.txt",
    "campaigns/pages/account.html",
    "campaigns/pages/check.html",
    "campaigns/pages/values.html",
    "campaigns/pages/words.html",
    "consent/pages/exhibits.html",
    "consent/pages/words_for_staff.html",
    "customers/pages/tabs.html",
    # Only marks to be filled in.
    "campaigns/letters/newsletter.html",
    "letterbox/pages/frame.html",
    "letterbox/pages/list.html",
    "letterbox/pages/mail.html",
    "letterbox/pages/refused.html",
    "mail/pages/relay_fields.html",
    "privacy/letters/reminder.html",
    "privacy/letters/reminder.txt",
    "privacy/pages/asked.html",
    "privacy/pages/processing.html",
    "web/pages/console.html",
    "web/pages/docs.html",
    "web/pages/problem.html",
    "webhooks/letters/endpoint_off.html",
    "webhooks/letters/endpoint_off.txt",
    "webhooks/pages/fields.html",
    "webhooks/pages/words.html",
}
# As CLDR and every other tool order the six Arabic forms; Babel swaps the last two.
_ARABIC = (
    "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : "
    "n%100>=11 ? 4 : 5);"
)
# Refusals that only staff and programs meet.
STAFF_REFUSALS = (
    "campaigns/checking.py",
    "campaigns/images.py",
    "client/",
    "consent/evidence.py",
    "consent/grounds.py",
    "consent/kept_proof.py",
    "consent/terms.py",
    "customers/interaction.py",
    "customers/value.py",
    "imports/",
    "inbound/",
    "mail/sending_domain.py",
    "restore/",
    "sealed.py",
    "staff/",
    "web/etag.py",
    "web/idempotency.py",
    "webhooks/",
)

_KEYWORDS = {
    "_": None,
    "gettext": None,
    "marked": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
_OPTIONS = {"trimmed": "true", "silent": "false", "extensions": "jinja2.ext.i18n"}
_HEADER = """msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""


class Found(Struct, frozen=True):
    """A text in a file; `message` has two forms where it counts something."""

    path: str
    message: str | tuple[str, ...]
    context: str | None = None


def templates() -> list[Path]:
    """List the templates that customers read, pages and letters."""
    every = [*PACKAGE.glob("*/pages/*.html"), *PACKAGE.glob("*/letters/*.*")]
    return sorted(
        path
        for path in every
        if _short(path) not in STAFF_TEMPLATES
        and not _short(path).startswith("staff/")
        and _CONSOLE not in path.read_text()
    )


def gathered() -> Catalog:
    """Gather every text from templates and code."""
    catalog = Catalog(fuzzy=False)
    for path in templates():
        for each in _of_file(path, "jinja2"):
            _add(catalog, each)
    for path in sorted(PACKAGE.rglob("*.py")):
        for each in (*_of_file(path, "python"), *_refusals(path)):
            _add(catalog, each)
    return catalog


def catalog(language: str) -> Catalog:
    """Read the catalog of a language as it stands."""
    with _path(language).open("rb") as file:
        return read_po(file, locale=language)


def written(language: str, messages: Catalog, *, guess: bool) -> str:
    """Write a catalog with these messages: what is translated stays, what is gone goes."""
    held = catalog(language) if _path(language).exists() else Catalog(locale=language)
    held.update(messages, no_fuzzy_matching=not guess)
    out = io.BytesIO()
    write_po(
        out,
        held,
        width=100,
        omit_header=True,
        ignore_obsolete=True,
        include_lineno=False,
        # So that code which moves moves nothing here.
        sort_output=True,
    )
    plurals = _ARABIC if language == "ar" else held.plural_forms
    header = _HEADER.format(language=language, plurals=plurals)
    return header + out.getvalue().decode()


def forms(message: Message) -> tuple[str, ...]:
    """List the forms that a translation has: several where it counts something."""
    said = message.string or ""
    return (said,) if isinstance(said, str) else tuple(said)


def _add(catalog: Catalog, found: Found) -> None:
    catalog.add(found.message, locations=[(found.path, 0)], context=found.context)


def _of_file(path: Path, kind: str) -> Iterator[Found]:
    options = _OPTIONS if kind == "jinja2" else {}
    with path.open("rb") as file:
        for _, message, _, context in extract(kind, file, _KEYWORDS, (), options):
            yield Found(_short(path), message, context)


def _refusals(path: Path) -> Iterator[Found]:
    """Find what refusals say by themselves: the first line of the docstring of each class."""
    if _short(path).startswith(STAFF_REFUSALS):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name in _subclasses():
            said = (ast.get_docstring(node) or "").split("\n", maxsplit=1)[0]
            yield Found(_short(path), said)


@cache
def _subclasses() -> set[str]:
    """Name every class that is a refusal, whatever it is derived from in between.

    That reads the whole of the code: not before somebody gathers.
    """
    found = {"Refused"}
    classes = [
        (node.name, {re.sub(r".*\.", "", ast.unparse(base)) for base in node.bases})
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    while more := {name for name, bases in classes if bases & found} - found:
        found |= more
    return found


def _short(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _path(language: str) -> Path:
    return CATALOGS / f"{language}.po"


def main() -> int:
    """Write every catalog anew and say how much is left to translate."""
    messages = gathered()
    for language in TRANSLATED:
        _path(language).write_text(written(language, messages, guess=True))
        held = catalog(language)
        left = sum(1 for each in held if each.id and (each.fuzzy or not all(forms(each))))
        sys.stdout.write(f"{language}: {len(held)} texts, {left} to translate\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
