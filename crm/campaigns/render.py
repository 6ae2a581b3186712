"""A campaign's draft to a compiled message, and the values of one customer into it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape

from msgspec import Struct, structs

from crm.businesses.image import Image
from crm.businesses.theme import Theme
from crm.campaigns import layout, words
from crm.campaigns.attached import Pictures
from crm.campaigns.body import Body, clean
from crm.campaigns.expression import ATTRIBUTE
from crm.campaigns.merge import (
    Field,
    Marks,
    MergeProblem,
    by_mark,
    filled,
    literal,
    pieces,
)
from crm.campaigns.poll import Poll, block
from crm.campaigns.screen import on_screen
from crm.campaigns.source import LARGEST, Kind
from crm.campaigns.tree import every
from crm.errors import Invalid, Problem
from crm.mail import Inline, mime

_OWN = ("link.unsubscribe", "link.preferences", "link.why")
_NOWHERE = mime.Slots("", "", "", unsubscribe="#", preferences="#", why="#")
_CLIPPED = 102_000  # bytes of HTML above which Gmail hides the rest, the unsubscribe link with it


class Letterhead(Struct, frozen=True, kw_only=True):
    """What a business puts on all its mail."""

    name: str
    legal_name: str
    postal_address: str
    sender_name: str
    sender_address: str
    locale: str
    reply_to: str = ""
    contact_address: str = ""
    privacy_url: str = ""
    # Scheme and host of its pages; empty where it has none yet.
    origin: str = ""
    # 5 to 15 characters that name it in Feedback-ID for good.
    sender_id: str = ""
    theme: Theme = Theme()
    # Stands on the band in place of the name.
    logo: Image | None = None


class Draft(Struct, frozen=True, kw_only=True):
    """What a member of staff wrote, and for which purpose; `list_id` as in RFC 2919."""

    subject: str
    source: str
    kind: Kind
    purpose: str
    list_id: str
    preheader: str = ""
    locale: str = ""
    # Whether it asks if a consent that ends soon goes on.
    asks: bool = False
    # A question under the text, with links that are the same for everybody.
    poll: Poll | None = None
    # The name of the campaign in headers; empty as long as it has none.
    identity: str = ""
    # Its own page in the archive; empty where it is not public.
    archived_at: str = ""
    # Whether it is that page: nothing in it is anybody's own.
    archived: bool = False
    # Pictures that the source may name.
    images: tuple[Image, ...] = ()


class Preview(Struct, frozen=True):
    """One customer's message as it will be read."""

    html: str
    text: str
    subject: str


class Compiled(Struct, frozen=True):
    """A campaign's message: `links` and `images` are for the linter, `warnings` for the author."""

    subject: str
    html: str
    text: str
    fields: tuple[Field, ...]
    business: str
    links: tuple[str, ...]
    images: tuple[str, ...]
    warnings: tuple[str, ...]
    message: mime.Skeleton
    # The pictures that go with it.
    attached: tuple[Inline, ...] = ()

    def missing(self, values: Mapping[str, str]) -> list[str]:
        """Name the merge fields for which this customer has no value and the draft no default."""
        lacking = [field for field in self.fields if self._lacks(field, values)]
        return list(dict.fromkeys(field.name for field in lacking))

    @property
    def attributes(self) -> list[str]:
        """Name the declared attributes that are asked for, without their prefix."""
        asked = dict.fromkeys(name for field in self.fields for name in field.asks)
        return [name.removeprefix(ATTRIBUTE) for name in asked if name.startswith(ATTRIBUTE)]

    @property
    def own_values(self) -> list[str]:
        """Name what of the customer's own row is asked for."""
        asked = {name for field in self.fields for name in field.asks}
        return [name for name in ("name", "first_name", "address") if name in asked]

    @property
    def may_lack(self) -> bool:
        """Whether somebody may read a gap: a field without default, or one that is worked out."""
        return any(f.default is None for f in self.depends)

    @property
    def depends(self) -> tuple[Field, ...]:
        """Return the fields that can be wrong for somebody: everybody has an address."""
        sure = {*_OWN, "business", "address"}
        return tuple(field for field in self.fields if not sure.issuperset(field.asks))

    def bytes_for(self, values: Mapping[str, str], slots: mime.Slots) -> bytes:
        """Return one customer's message for the wire; a field that is `missing` is left empty."""
        return self.message.bytes_for(slots, self._filling(values, slots))

    def preview(self, values: Mapping[str, str], slots: mime.Slots = _NOWHERE) -> Preview:
        """Return what this customer would read; without `slots` the footer's links lead nowhere."""
        plain = self._filling(values, slots, lenient=True)
        return Preview(
            html=filled(self.html, by_mark([escape(value) for value in plain])),
            text=filled(self.text, by_mark(plain)),
            subject=" ".join(filled(self.subject, by_mark(plain)).split()),
        )

    def on_screen(self, html: str) -> str:
        """Put the attached pictures into a page, where there is no mail around it."""
        return on_screen(html, self.attached)

    def public(self) -> Preview:
        """Return what everybody may read: no customer's values, but defaults or neutral words."""
        plain = words.neutral(self.fields, self.business)
        return Preview(
            html=filled(self.html, by_mark([escape(value) for value in plain])),
            text=filled(self.text, by_mark(plain)),
            subject=" ".join(filled(self.subject, by_mark(plain)).split()),
        )

    def skeleton(self) -> bytes:
        """Return what is the same in every customer's message, for a digest (promise 4)."""
        return self.message.constants()

    def _lacks(self, field: Field, values: Mapping[str, str]) -> bool:
        if field.expression is not None:
            try:
                return field.expression.lacks({**values, "business": self.business})
            except ValueError:
                return True
        known = field.name in {*_OWN, "business"} or field.default is not None
        return not known and not values.get(field.name, "").strip()

    def _filling(
        self, values: Mapping[str, str], slots: mime.Slots, *, lenient: bool = False
    ) -> list[str]:
        own = words.own(slots, self.business)
        return words.filled(self.fields, values, own, lenient=lenient)


def neutral(line: str, business: str) -> str:
    """Return a subject or preview line as everybody may read it; one that is wrong stays as is."""
    marks = Marks()
    protected = marks.protect(" ".join(line.split()))
    values = by_mark(words.neutral(marks.fields, business))
    return " ".join(literal(filled(protected, values)).split())


def compile_message(
    draft: Draft, letterhead: Letterhead, attributes: Collection[str] | None = None
) -> Compiled:
    """Compile once; refuse with every problem found, each with its line in the source.

    With `attributes`, a field for an attribute that is not declared is a problem.
    """
    marks = Marks(attributes)
    problems: list[Problem] = []
    subject = _line("subject", draft.subject, marks, problems)
    preheader = _line("preheader", draft.preheader, marks, problems)
    pictures = _pictures(draft, letterhead)
    body = _body(draft, pictures, marks, problems)
    problems += _lacking(subject, letterhead)
    if problems:
        raise Invalid("The newsletter cannot be sent like this.", problems)
    if draft.poll:
        body.root.children += block(draft.poll)
    frame = _frame(draft, letterhead, marks, subject, preheader)
    frame = structs.replace(frame, logo=pictures.placed_logo())
    html = layout.page(frame, body.root)
    text = layout.text(frame, body.root)
    shown = tuple(dict.fromkeys(i.attributes["src"] for i in every(body.root, "img")))
    attached = pictures.going(shown)
    return Compiled(
        subject=subject,
        html=html,
        text=text,
        fields=tuple(marks.fields),
        business=letterhead.name,
        links=tuple(dict.fromkeys(a.attributes["href"] for a in every(body.root, "a"))),
        images=shown,
        warnings=(*body.warnings, *_too_long(html)),
        message=_message(frame, draft, letterhead, (text, html), attached),
        attached=attached,
    )


def _line(field: str, written: str, marks: Marks, problems: list[Problem]) -> str:
    found = Marks.protect(marks, " ".join(written.split()))
    problems += _told(field, marks.problems, lines=False)
    marks.problems.clear()
    return literal(found)


def _pictures(draft: Draft, letterhead: Letterhead) -> Pictures:
    archive = draft.archived_at if draft.archived else ""
    sender = letterhead.sender_address
    return Pictures(draft.images, letterhead.logo, sender, archive, letterhead.origin)


def _body(draft: Draft, pictures: Pictures, marks: Marks, problems: list[Problem]) -> Body:
    if len(draft.source.encode("utf-8", "replace")) > LARGEST:
        raise Invalid("The newsletter is too large.", [Problem("source", "At most 1 MB.")])
    body = clean(marks.protect(draft.source), draft.kind, marks, pictures.placed())
    found = sorted([*marks.problems, *body.problems], key=lambda problem: problem.line)
    problems += _told("source", found)
    if not body.root.children:
        problems.append(Problem("source", "There is nothing in it to read."))
    return body


def _told(field: str, found: Sequence[MergeProblem], *, lines: bool = True) -> list[Problem]:
    return [
        Problem(field, (f"Line {p.line}: " if lines else "") + f"{p.text} {p.message}")
        for p in found
    ]


def _lacking(subject: str, letterhead: Letterhead) -> list[Problem]:
    said = {
        "subject": (subject, "Write a subject."),
        "legal_name": (letterhead.legal_name, "The business has no legal name for the footer."),
        "postal_address": (
            letterhead.postal_address,
            "The business has no postal address. Every newsletter must carry one.",
        ),
    }
    return [
        Problem(field, message) for field, (value, message) in said.items() if not value.strip()
    ]


def _frame(
    draft: Draft, letterhead: Letterhead, marks: Marks, subject: str, preheader: str
) -> layout.Frame:
    unsubscribe, preferences, why = (marks.mark(Field(name)) for name in _OWN)
    return layout.Frame(
        subject=subject,
        preheader=preheader,
        business=letterhead.name,
        legal_name=letterhead.legal_name,
        postal_address=letterhead.postal_address,
        purpose=draft.purpose,
        language=(draft.locale or letterhead.locale).replace("_", "-"),
        privacy_url=letterhead.privacy_url,
        why=why,
        unsubscribe=unsubscribe,
        preferences=preferences,
        asks=draft.asks,
        origin=letterhead.origin,
        archived=draft.archived,
        theme=letterhead.theme,
    )


def _message(
    frame: layout.Frame,
    draft: Draft,
    letterhead: Letterhead,
    words: tuple[str, str],
    images: Sequence[Inline],
) -> mime.Skeleton:
    origin = letterhead.origin
    heading = mime.Heading(
        sender_name=letterhead.sender_name,
        sender_address=letterhead.sender_address,
        reply_to=letterhead.reply_to,
        list_name=draft.purpose,
        list_id=draft.list_id,
        contact=letterhead.contact_address or letterhead.reply_to or letterhead.sender_address,
        language=frame.language,
        help_page=f"{origin}/sign-in" if origin else "",
        subscribe_page=f"{origin}/sign-up" if origin else "",
        archive=f"{origin}/archive" if draft.archived_at else "",
        archived_at=draft.archived_at,
        feedback_id=_feedback_id(draft, letterhead),
    )
    try:
        text, html = map(pieces, words)
        return mime.skeleton(heading, pieces(frame.subject), text, html, images)
    except ValueError as wrong:
        raise Invalid(str(wrong), [Problem("letterhead", str(wrong))]) from wrong


def _feedback_id(draft: Draft, letterhead: Letterhead) -> str:
    if not draft.identity or not letterhead.sender_id:
        return ""
    label = draft.list_id.partition(".")[0]
    return f"{draft.identity}:{label[:64]}:newsletter:{letterhead.sender_id}"


def _too_long(html: str) -> list[str]:
    size = len(html.encode())
    warning = (
        f"The HTML has {size // 1000} kB. Gmail cuts a mail at 102 kB and hides the rest, the "
        "link to leave with it. Shorten the newsletter."
    )
    return [warning] if size > _CLIPPED else []
