"""How the pages and newsletters of a business look: few choices, none of them hard to read.

One theme for both. On pages the band is the ground of the masthead, and the colour of links that of
buttons too; the sheet that says so is made of the four colours alone.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from crm.errors import Invalid, Problem

Colour = Annotated[str, Meta(pattern=r"^#[0-9a-f]{6}(?!\n)$")]
Face = Literal["serif", "sans"]
Corner = Literal[0, 8, 16]

# The sheet in light and dark, and the inks on the band; the layout is written for these.
SHEET, SHEET_DARK = "#ffffff", "#1f1d1b"
# All that a link may stand on, in mails and on pages: the grounds of firsthand.css.
GROUNDS = ("#ffffff", "#f6f4f1", "#eeebe6", "#e5f1e7", "#faeed6", "#fbe8e5")
GROUNDS_DARK = ("#1f1d1b", "#161513", "#2a2825", "#17291c", "#2d2412", "#371c19")
_INKS = ("#23201d", "#ffffff")
# A colour that is read on a dark sheet may be too dark itself for an ink that is not black.
_INKS_OF_BUTTONS = ("#000000", "#ffffff")
READABLE = 4.5  # WCAG 2.2, 1.4.3
FACES: dict[Face, str] = {
    "serif": "Charter, 'Sitka Text', Cambria, 'Noto Serif', Georgia, serif",
    "sans": "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif",
}


class Theme(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Colours of the band and of links in light and dark, the face, the corners, words at the end.

    Fonts are those that readers have: nothing is loaded from anywhere.
    """

    band: Colour = "#f7e3a3"
    band_dark: Colour = "#332c14"
    link: Colour = "#24466b"
    link_dark: Colour = "#a9c8ee"
    face: Face = "serif"
    corner: Corner = 0
    foot: Annotated[str, Meta(max_length=300)] = ""


class Reading(Struct, frozen=True):
    """How well something is read: the contrast ratio of WCAG, from 1 to 21."""

    field: str
    ratio: float

    @property
    def readable(self) -> bool:
        """Whether it is enough for text of any size."""
        return self.ratio >= READABLE


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def ink_on(band: str) -> str:
    """Return the ink that is read best on a band."""
    return max(_INKS, key=lambda ink: contrast(ink, band))


def readings(theme: Theme) -> list[Reading]:
    """Measure everything that depends on the choice, in light and in dark."""
    return [
        Reading("band", contrast(ink_on(theme.band), theme.band)),
        Reading("band_dark", contrast(ink_on(theme.band_dark), theme.band_dark)),
        Reading("link", min(contrast(theme.link, ground) for ground in GROUNDS)),
        Reading("link_dark", min(contrast(theme.link_dark, ground) for ground in GROUNDS_DARK)),
    ]


def corrected(theme: Theme) -> Theme:
    """Return the theme with each colour that is too weak replaced by the nearest that is not."""
    weak = [each.field for each in readings(theme) if not each.readable]
    return structs.replace(theme, **{field: _nearest(theme, field) for field in weak})


@lru_cache(maxsize=256)
def sheet(colours: str) -> str:
    """Write the tokens that pages take from a business: `colours` as the statement gives them.

    Whatever is kept is readable: what is not, `checked` has refused.
    """
    band, band_dark, link, link_dark = colours.split()
    day, night = _tokens(band, link), _tokens(band_dark, link_dark)
    return f":root{{{day}}}@media screen and (prefers-color-scheme:dark){{:root{{{night}}}}}"


@lru_cache(maxsize=256)
def sheet_name(colours: str) -> str:
    """Name a sheet by what it says (RFC 8246), so that browsers keep it for good."""
    return f"{hashlib.sha256(sheet(colours).encode()).hexdigest()[:16]}.css"


def _tokens(band: str, link: str) -> str:
    button = max(_INKS_OF_BUTTONS, key=lambda ink: contrast(ink, link))
    return f"--brand:{link};--on-brand:{button};--brand-ground:{band};--on-ground:{ink_on(band)}"


def checked(theme: Theme) -> Theme:
    """Return a theme that everybody can read, or refuse with each colour that is too weak."""
    weak = [each for each in readings(theme) if not each.readable]
    if weak:
        raise Invalid("Some of it could not be read.", [_weak(theme, each) for each in weak])
    return theme


def _weak(theme: Theme, reading: Reading) -> Problem:
    return Problem(
        reading.field,
        f"Its contrast is {reading.ratio:.1f}, and people read from {READABLE} on. "
        f"The nearest shade that does is {_nearest(theme, reading.field)}.",
    )


def _nearest(theme: Theme, field: str) -> str:
    """Find the shade on the way to black or to white that can be read; one of them always can."""
    colour: str = getattr(theme, field)
    shades = (_mixed(colour, end, step) for step in range(101) for end in ("#000000", "#ffffff"))
    return next(shade for shade in shades if _readable(field, shade))


def _readable(field: str, colour: str) -> bool:
    tried = readings(structs.replace(Theme(), **{field: colour}))
    return next(each.readable for each in tried if each.field == field)


def _mixed(colour: str, end: str, hundredths: int) -> str:
    pairs = [(int(colour[at : at + 2], 16), int(end[at : at + 2], 16)) for at in (1, 3, 5)]
    parts = (round(one + (other - one) * hundredths / 100) for one, other in pairs)
    return "#" + "".join(f"{part:02x}" for part in parts)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    low = 0.04045  # WCAG 2.2 (sRGB, IEC 61966-2-1)
    return value / 12.92 if value <= low else float(((value + 0.055) / 1.055) ** 2.4)
