"""The pictures around a text: where each is found, how large it stands, and which go along."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from crm.businesses.extent import Extent
from crm.businesses.image import Image
from crm.mail import Inline

# The letters stand in a column this wide; see `letters/newsletter.html`.
COLUMN = 528
_PIXELS = re.compile(r"[0-9]{1,5}")
# A logo is no larger than this on the band.
LOGO = (240, 48)


class Placed(Struct, frozen=True):
    """A picture at its place: its address there, and its own size, where that is known."""

    address: str
    extent: Extent | None

    def sized(self, written: Mapping[str, str]) -> dict[str, str]:
        """Return width and height as attributes, so that nothing jumps when it appears.

        What the author wrote stays; of one side, the other follows. Outlook obeys these and no
        style, so by themselves they are never wider than the column.
        """
        width, height = written.get("width", ""), written.get("height", "")
        if self.extent is None or (width and height):
            return {}
        if not width and not height:
            return _attributes(self.extent.within(COLUMN))
        if not _PIXELS.fullmatch(width + height):
            return {}
        if width:
            return {"height": str(max(1, round(int(width) * self._steepness)))}
        return {"width": str(max(1, round(int(height) / self._steepness)))}

    @property
    def _steepness(self) -> float:
        return self.extent.height / self.extent.width if self.extent else 1.0

    def on_band(self) -> dict[str, str]:
        """Return width and height of a logo."""
        return _attributes(self.extent.within(*LOGO)) if self.extent else {}


class Pictures(Struct, frozen=True):
    """All that one mail may show; `archive` is its own page, where it is that page, else empty."""

    images: Sequence[Image]
    logo: Image | None
    sender_address: str
    archive: str = ""
    origin: str = ""

    def placed(self) -> dict[str, Placed]:
        """Say for each name that the text may use where the picture is."""
        return {each.name: Placed(self._address(each), each.extent) for each in self.images}

    def placed_logo(self) -> Placed | None:
        """Say where the logo is, if there is one."""
        if self.logo is None:
            return None
        address = f"{self.origin}/archive/logo" if self.archive else self._address(self.logo)
        return Placed(address, self.logo.extent)

    def going(self, shown: Collection[str]) -> tuple[Inline, ...]:
        """Return what goes with the mail: what the text shows, the same under two names once."""
        if self.archive:
            return ()
        found = {self._address(each): each for each in self.images}
        found = {address: each for address, each in found.items() if address in shown}
        if self.logo is not None:
            found.setdefault(self._address(self.logo), self.logo)
        return tuple(
            Inline(each.name, each.media_type, each.content, address.removeprefix("cid:"))
            for address, each in found.items()
        )

    def _address(self, image: Image) -> str:
        if self.archive:
            return f"{self.archive}/images/{image.name}"
        return f"cid:{image.content_id(self.sender_address)}"


def _attributes(extent: Extent) -> dict[str, str]:
    return {"width": str(extent.width), "height": str(extent.height)}
