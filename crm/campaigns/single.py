"""A mail to one customer in the frame of campaigns: as its author wrote it, nothing filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from crm.campaigns import layout
from crm.campaigns.attached import Pictures
from crm.campaigns.body import Body, clean
from crm.campaigns.layout import Ground
from crm.campaigns.lint import Allowed, Rendered, lint
from crm.campaigns.merge import Marks, unmarked
from crm.campaigns.render import Letterhead
from crm.campaigns.tracker import known
from crm.campaigns.tree import every
from crm.errors import Invalid, Problem
from crm.mail import Inline


class MessageRefused(Invalid):
    """This message cannot be sent as it is, and nothing was sent. Each problem says what to do."""


# Said of a picture that is fetched whoever it is fetched from, so there is nothing to add.
_OF_PICTURES = frozenset({"image-address", "image-host", "image-query"})


class Single(Struct, frozen=True):
    """The subject and both texts of a mail to one customer, with the pictures that go along.

    With `problems` it may not go; `check_single` refuses it with these, and with what it finds.
    """

    subject: str
    html: str
    text: str
    language: str
    attached: tuple[Inline, ...]
    problems: tuple[Problem, ...]


def single(
    subject: str, source: str, letterhead: Letterhead, ground: Ground, language: str
) -> Single:
    """Set Markdown in the letterhead, and say what was left out of it or cannot stand in it.

    Nobody looks at it before it goes, so nothing is left out of it in silence.
    """
    pictures = Pictures((), letterhead.logo, letterhead.sender_address, "", letterhead.origin)
    body = clean(unmarked(source), "markdown", Marks())
    frame = layout.Frame(
        subject=unmarked(" ".join(subject.split())),
        preheader="",
        business=letterhead.name,
        legal_name=letterhead.legal_name,
        postal_address=letterhead.postal_address,
        language=language.replace("_", "-"),
        privacy_url=letterhead.privacy_url,
        ground=ground,
        origin=letterhead.origin,
        theme=letterhead.theme,
        logo=pictures.placed_logo(),
    )
    return Single(
        subject=frame.subject,
        html=layout.page(frame, body.root),
        text=layout.text(frame, body.root),
        language=frame.language,
        attached=pictures.going(()),
        problems=(*_lacking(letterhead), *_wrong(body)),
    )


def check_single(content: bytes, address: str, origin: str, problems: Sequence[Problem]) -> None:
    """Refuse with MessageRefused a final mail to this address that would watch its reader.

    So it is with `problems`, those of setting it: whoever wrote it is told of all at once.
    """
    found = lint([Rendered(content, address=address)], Allowed(origin), known.lists)
    once = {(each.code, each.text): each for each in found if each.blocking}
    watches = [
        Problem("text", f"{each.sentence} {each.text}")
        for each in once.values()
        if not (problems and each.code in _OF_PICTURES)
    ]
    if problems:
        raise MessageRefused(problems=[*problems, *watches])
    if watches:
        raise MessageRefused("The message would watch its reader, so it was not sent.", watches)


def _wrong(body: Body) -> Iterator[Problem]:
    for each in body.problems:
        yield Problem("text", f"Line {each.line}: {each.text} {each.message}")
    for warning in body.warnings:
        yield Problem("text", f"{warning} Nothing is taken out in silence: write it otherwise.")
    if not body.root.children:
        yield Problem("text", "There is nothing in it to read.")
    yield from _watching(sorted({image.attributes["src"] for image in every(body.root, "img")}))


def _watching(pictures: Sequence[str]) -> Iterator[Problem]:
    """Of a mail to one reader nobody can tell whether the address of a picture is hers alone."""
    for address in pictures:
        yield Problem(
            "text",
            "A picture that is fetched tells whoever serves it that this mail was opened, and by "
            f"whom. Link to it instead. {address}",
        )


def _lacking(letterhead: Letterhead) -> Iterator[Problem]:
    if not letterhead.legal_name.strip():
        yield Problem("legal_name", "The business has no legal name for the footer.")
    if not letterhead.postal_address.strip():
        yield Problem("postal_address", "The business has no postal address; every mail has one.")
