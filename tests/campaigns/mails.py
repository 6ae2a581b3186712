"""Messages for the linter and for comparing: written by hand, or composed for invented readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crm.campaigns.lint import Rendered
from crm.campaigns.render import Compiled, Draft, Letterhead, compile_message
from crm.campaigns.skeleton import Skeleton, skeleton_of
from crm.mail.mime import Slots

SHARED = Path(__file__).parents[3] / "shared" / "data"
ORIGIN = "https://letters.example"
CAMPAIGN = "0198c0de" + "a" * 24
LETTERHEAD = Letterhead(
    name="Corner Bakery",
    legal_name="Corner Bakery Ltd",
    postal_address="4 Mill Lane",
    sender_name="Corner Bakery",
    sender_address="letter@bakery.example",
    locale="en",
)


def html_mail(html: str, head: str = "") -> bytes:
    """A message of one HTML part."""
    return f"{head}Content-Type: text/html; charset=utf-8\n\n{html}".encode()


def slots(number: int) -> Slots:
    """One invented reader's header values and links."""
    token = f"QUFB{number}" + f"{number:x}x" * 20
    return Slots(
        to=f"reader{number}@example.com",
        message_id=f"<{CAMPAIGN}.{number:032x}@bakery.example>",
        date="Wed, 25 Nov 2026 10:00:00 +0000",
        unsubscribe=f"{ORIGIN}/u/{token}",
        preferences=f"{ORIGIN}/p/{token}",
        why=f"{ORIGIN}/why/{token}",
    )


def composed(source: str, **changes: Any) -> Compiled:
    """A newsletter as our composer makes it."""
    given: dict[str, Any] = {
        "subject": "Rye on Saturdays",
        "kind": "markdown",
        "purpose": "The Corner Letter",
        "list_id": "letter.bakery.example",
    }
    return compile_message(Draft(source=source, **given | changes), LETTERHEAD)


def rendered(message: Compiled, readers: int = 3) -> list[Rendered]:
    """The message to so many readers who have nothing in common."""
    found = []
    for number in range(readers):
        mine = slots(number)
        values = {"name": f"Name {number}", "first_name": f"N{number}", "address": mine.to}
        own = frozenset({mine.unsubscribe, mine.preferences, mine.why})
        found.append(Rendered(message.bytes_for(values, mine), own, mine.to))
    return found


def skeleton(source: str, **changes: Any) -> Skeleton:
    """Both wordings of a newsletter as one skeleton."""
    wordings = {asks: composed(source, asks=asks, **changes) for asks in (False, True)}
    return skeleton_of(CAMPAIGN, wordings, [slots(each) for each in range(3)])
