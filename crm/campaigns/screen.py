"""A mail as some would see it: by day or in the dark, with pictures or without."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Literal

from crm.mail import Inline

Scheme = Literal["", "light", "dark"]

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_DARK = "@media (prefers-color-scheme: dark)"
_AS = {"light": "@media not all", "dark": "@media all"}
_BOTH = 'content="light dark"'
_PICTURE = re.compile(r'(<img\b[^>]*?) src="[^"]*"')


def seen(html: str, scheme: Scheme = "", *, pictures: bool = True) -> str:
    """Show a mail of ours as a screen of this scheme would; without one, as the viewer's own.

    Without pictures each stands as its description, as where a mailbox does not fetch them.
    """
    if scheme:
        html = html.replace(_DARK, _AS[scheme]).replace(_BOTH, f'content="{scheme}"')
        html = html.replace("color-scheme: light dark", f"color-scheme: {scheme}")
    return html if pictures else _PICTURE.sub(r"\1", html)


def on_screen(html: str, attached: Iterable[Inline]) -> str:
    """Put attached pictures into a page, where there is no mail around it."""
    for each in attached:
        data = f"data:{each.media_type};base64,{b64encode(each.content).decode()}"
        html = html.replace(f'src="cid:{each.content_id}"', f'src="{data}"')
    return html
