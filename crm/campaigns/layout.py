"""The letter around the body: head, footer and style of the HTML and of the text part."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

import css_inline
from msgspec import Struct

from crm.businesses.theme import FACES, SHEET, SHEET_DARK, Theme, ink_on
from crm.campaigns.attached import Placed
from crm.campaigns.text import WIDTH, as_text, wrapped
from crm.campaigns.tree import Node, every, written
from crm.campaigns.typesetting import direction, typeset
from crm.customers.basis import LawfulBasis, in_words
from crm.languages import ENGLISH, chosen, gettext, language, speaking

_PAGE = Template((Path(__file__).parent / "letters" / "newsletter.html").read_text("utf-8"))
_INLINER = css_inline.CSSInliner(keep_style_tags=False, load_remote_stylesheets=False)


class Ground(Struct, frozen=True, kw_only=True):
    """Why a mail that is no campaign goes to its reader, and the page with all that went to her."""

    label: str
    purpose: str
    basis: LawfulBasis
    mails: str


class Frame(Struct, frozen=True, kw_only=True):
    """All that is said around a body; `why`, `unsubscribe` and `preferences` are marks."""

    subject: str
    preheader: str
    business: str
    legal_name: str
    postal_address: str
    language: str
    privacy_url: str
    purpose: str = ""
    why: str = ""
    unsubscribe: str = ""
    preferences: str = ""
    # Of a service message, in place of the purpose and of what leads out of it.
    ground: Ground | None = None
    # Whether it asks if a consent that ends soon goes on; the page behind `why` takes the answer.
    asks: bool = False
    # Scheme and host of the pages of the business.
    origin: str = ""
    # Whether it is the page of the archive: then nothing in it is one customer's.
    archived: bool = False
    theme: Theme = Theme()
    logo: Placed | None = None


def page(frame: Frame, root: Node) -> str:
    """Return the HTML part, styles inlined; the subject is its h1 if the body has none.

    What we say around the body is in the campaign's language if we speak it, else in English.
    """
    spoken = chosen(frame.language) or ENGLISH
    with speaking(spoken):
        return _page(frame, root, spoken)


def text(frame: Frame, root: Node) -> str:
    """Return the text part, with the same footer."""
    with speaking(chosen(frame.language) or ENGLISH):
        return _text(frame, root)


def _page(frame: Frame, root: Node, spoken: str) -> str:
    heading = Node("", {}, [] if any(every(root, "h1")) else [_title(frame), "\n"])
    typeset(heading, direction(frame.language))
    typeset(root, direction(frame.language))
    preheader = (
        '<div style="display:none; max-height:0; overflow:hidden;">'
        f"{escape(frame.preheader)}</div>\n"
    )
    notice = gettext("Privacy notice")
    privacy = f'<br><a href="{escape(frame.privacy_url)}">{notice}</a>'
    html = _PAGE.substitute(
        subject=escape(frame.subject),
        # On the web it is all of the page (WAI-ARIA 1.2 §5.3.4), in a mailbox one mail of many.
        role='role="main"' if frame.archived else 'role="article" aria-roledescription="email"',
        lang=escape(frame.language),
        dir=direction(frame.language),
        foot_lang=spoken,
        foot_dir=direction(spoken),
        preheader=preheader if frame.preheader else "",
        heading=_heading(frame),
        body=written(heading) + written(root),
        purpose=escape(frame.purpose),
        own=_own(frame),
        tracking="" if frame.archived else f"<p>{_tracking(root)}</p>",
        sender=escape(_sender(frame)),
        privacy=privacy if frame.privacy_url else "",
        **_look(frame.theme),
    )
    return _INLINER.inline(html)


def _text(frame: Frame, root: Node) -> str:
    body = as_text(root)
    if frame.archived:
        return "\n".join([body, "", "-- ", *wrapped(_sender(frame)), ""])
    if not any(every(root, "h1")):
        heading = wrapped(frame.subject)
        body = "\n".join([*heading, "=" * min(WIDTH, max(map(len, heading))), "", body])
    foot = [
        *(_grounded(frame.ground) if frame.ground else _ways(frame)),
        "",
        *wrapped(_tracking(root)),
        "",
        *([*wrapped(frame.theme.foot), ""] if frame.theme.foot else []),
        *wrapped(_sender(frame)),
        *([_led(gettext("Privacy notice:"), frame.privacy_url)] if frame.privacy_url else []),
    ]
    return "\n".join([body, "", "-- ", *foot, ""])


def _ways(frame: Frame) -> list[str]:
    return [
        *(_asking(frame) if frame.asks else []),
        *wrapped(gettext("Why you get this: you asked for %(purpose)s.", purpose=frame.purpose)),
        _led(gettext("The exact words, and the proof:"), frame.why),
        "",
        _led(gettext("Stop these mails (one press, no password):"), frame.unsubscribe),
        _led(gettext("Choose what we may write to you:"), frame.preferences),
    ]


def _grounded(ground: Ground) -> list[str]:
    said = gettext(
        "Why you get this: %(label)s. %(purpose)s", label=ground.label, purpose=ground.purpose
    )
    return [
        *wrapped(said),
        *wrapped(gettext("It rests on: %(basis)s.", basis=in_words(ground.basis))),
        "",
        *wrapped(gettext("This is no advertising, so there is nothing to unsubscribe from.")),
        _led(gettext("Every mail that we sent to you:"), ground.mails),
    ]


def _asking(frame: Frame) -> list[str]:
    said = gettext(
        "Your consent to %(purpose)s will end. Do you still want these mails? Say so on the page "
        "below. If you do nothing, they stop by themselves.",
        purpose=frame.purpose,
    )
    return [*wrapped(said), _led(gettext("Yes, go on:"), frame.why), ""]


def _led(words: str, address: str) -> str:
    return f"{words} {address}"


def _look(theme: Theme) -> dict[str, str]:
    return {
        "band": theme.band,
        "band_ink": ink_on(theme.band),
        "band_dark": theme.band_dark,
        "band_dark_ink": ink_on(theme.band_dark),
        "link": theme.link,
        "link_dark": theme.link_dark,
        "face": FACES[theme.face],
        "corner": f"{theme.corner}px",
        "sheet": SHEET,
        "sheet_dark": SHEET_DARK,
        "foot": f"<p>{escape(theme.foot)}</p>\n" if theme.foot else "",
    }


def _title(frame: Frame) -> Node:
    return Node("h1", {}, [frame.subject])


def _heading(frame: Frame) -> str:
    """The name, or the logo that says it: whoever sees no pictures reads the name there."""
    if frame.logo is None:
        return escape(frame.business)
    image = {"src": frame.logo.address, "alt": frame.business, **frame.logo.on_band()}
    return written(Node("", {}, [Node("img", image, [])]))


def _own(frame: Frame) -> str:
    """What the foot offers: in a mail the reader's own links, in the archive everybody's."""
    if frame.ground:
        return gettext(
            "<p><b>Why you get this:</b> %(label)s. %(purpose)s<br>It rests on: %(basis)s.</p> "
            "<p>This is no advertising, so there is nothing to unsubscribe from. "
            '<a href="%(mails)s">Every mail that we sent to you</a>.</p>'
        ) % {
            "label": _isolated(frame.ground.label),
            "purpose": _isolated(frame.ground.purpose),
            "basis": escape(in_words(frame.ground.basis)),
            "mails": escape(frame.ground.mails),
        }
    purpose = _isolated(frame.purpose)
    if frame.archived:
        return gettext(
            "<p>This is a public copy of a mail to those who asked for %(purpose)s. "
            '<a href="%(origin)s/sign-up">Ask for it yourself</a>.<br>'
            '<a href="%(origin)s/archive">All issues of %(business)s</a>.</p>'
        ) % {
            "purpose": purpose,
            "origin": escape(frame.origin),
            "business": _isolated(frame.business),
        }
    question = gettext(
        '<p class="ask"><b>Your consent to %(purpose)s will end.</b> Do you still want these '
        'mails? <a href="%(why)s">Yes, go on</a>. If you do nothing, they stop by themselves.</p>'
    ) % {"purpose": purpose, "why": frame.why}
    links = gettext(
        "<p><b>Why you get this:</b> you asked for %(purpose)s. "
        '<a href="%(why)s">See the exact words, and the proof</a>.</p> '
        '<p><a href="%(unsubscribe)s">Stop these mails</a>. One press, no password.<br>'
        '<a href="%(preferences)s">Choose what we may write to you</a>.</p>'
    ) % {
        "purpose": purpose,
        "why": frame.why,
        "unsubscribe": frame.unsubscribe,
        "preferences": frame.preferences,
    }
    return f"{question}\n{links}" if frame.asks else links


def _isolated(name: str) -> str:
    """A name keeps its own direction inside a sentence of another."""
    return f'<span dir="auto">{escape(name)}</span>' if language() == "ar" else escape(name)


def _sender(frame: Frame) -> str:
    lines = frame.postal_address.replace("\r", "\n").split("\n")
    return ", ".join([frame.legal_name, *(line.strip(" ,") for line in lines if line.strip(" ,"))])


def _tracking(root: Node) -> str:
    # Whoever serves an image sees that somebody fetched it; an attached one is in the mail.
    if any(not img.attributes["src"].startswith("cid:") for img in every(root, "img")):
        return gettext("The links in this mail lead straight where they say.")
    return gettext(
        "This mail does not tell us whether you read it. Its links lead straight where they say."
    )
