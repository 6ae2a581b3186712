"""The exports of other tools, known by their headers: which words they use, what they watched."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from crm.imports.model import RowStatus, Tool
from crm.imports.showing import shown

# What staff call them.
TITLES: Mapping[Tool, str] = {
    Tool.mailchimp: "Mailchimp",
    Tool.listmonk: "listmonk",
    Tool.keila: "Keila",
    Tool.ghost: "Ghost",
    Tool.substack: "Substack",
    Tool.beehiiv: "beehiiv",
    Tool.table: "a table",
    Tool.ndjson: "a list of JSON lines",
    Tool.firsthand: "a copy from Firsthand",
}


def words(text: str) -> frozenset[str]:
    """Header words as they are compared, given with blanks between them."""
    return frozenset(text.split())


class Preset(Struct, frozen=True):
    """How one tool writes its exports.

    A header is its own if it has a word of each of `marks` and, where `only` is not empty, no
    other words. `says` are words of its status column that mean something else elsewhere.
    `attributes` is the column with JSON in it, `listed_at` the one that tells since when an address
    is on the list: no proof, for the business itself may have put it there. The first of `tags`
    that is there has its tags.
    """

    tool: Tool
    marks: tuple[frozenset[str], ...] = ()
    only: frozenset[str] = frozenset()
    says: Mapping[str, RowStatus] = {}
    attributes: str = ""
    listed_at: str = ""
    tags: tuple[str, ...] = ("tags",)


_KEILA = words("email firstname lastname")
PRESETS = (
    Preset(
        Tool.mailchimp,
        (words("email emailaddress"), words("optintime confirmtime memberrating leid")),
    ),
    Preset(
        Tool.listmonk,
        (words("email"), words("name"), words("attributes")),
        attributes="attributes",
        listed_at="createdat",
    ),
    Preset(
        Tool.substack,
        (words("email"), words("emaildisabled"), words("activesubscription expiry")),
        listed_at="createdat",
    ),
    Preset(
        Tool.ghost,
        (words("email"), words("subscribedtoemails")),
        listed_at="createdat",
        tags=("labels", "tags"),
    ),
    Preset(
        Tool.beehiiv,
        (
            words("email"),
            words("status"),
            words("createdat"),
            words("tier subscriptiontier"),
            words("unsubscribedat subscriptiontier"),
        ),
        # Who left is `inactive` there; who never confirmed is `pending`, and that is no yes.
        says={"inactive": RowStatus.unsubscribed, "invalid": RowStatus.cleaned},
        listed_at="createdat",
    ),
    Preset(
        Tool.keila,
        (*(frozenset({each}) for each in sorted(_KEILA)), words("data externalid")),
        attributes="data",
    ),
    # With a status and nothing else it says so too.
    Preset(
        Tool.keila,
        (words("status"), *(frozenset({each}) for each in sorted(_KEILA))),
        only=_KEILA | {"status"},
    ),
)
TABLE = Preset(Tool.table)

# Addresses of computers, positions guessed from them, inner numbers and clocks: data that nobody
# gave for this purpose.
_LEFT_BEHIND = words(
    "memberrating optinip confirmip ip ipaddress latitude longitude gmtoff dstoff timezone cc "
    "region lastchanged leid euid unsubcampaigntitle unsubcampaignid unsubreasonother "
    "cleancampaigntitle cleancampaignid uuid createdat updatedat useragent device "
    "devicetype browser referrer referrerurl referringsite acquisitionsource lastseenat activity "
    "activityscore engagement engagementscore emailsreceived"
)
# What a pixel or a redirect counted, whatever the tool calls it, and where somebody came from.
_WATCHED = re.compile(
    r"utm\w+|\w*(?:opens|opened|openrate|opencount|clicks|clicked|clickrate|clickcount|"
    r"clickthrough)\w*|last\w*(?:open|click)(?:at|on|date|time)?"
)
# What a tool numbered or reckoned, unless the business has declared it: a club has member ids too.
_NUMBERED = words(
    "id subscriberid contactid memberid userid profileid secondaryid channelid stripecustomerid "
    "stripeconnectedcustomerid score leadscore"
)


def preset(has: frozenset[str]) -> Preset:
    """The preset of a header with these words; TABLE for a tool that is not known."""
    for each in PRESETS:
        if all(has & mark for mark in each.marks) and (not each.only or has <= each.only):
            return each
    return TABLE


def left_behind(header_word: str) -> bool:
    """Whether a column holds what a tool watched, guessed or numbered, and not what was given."""
    return header_word in _NUMBERED or never_taken(header_word)


def never_taken(header_word: str) -> bool:
    """Whether it is left behind even where an attribute is called so."""
    return header_word in _LEFT_BEHIND or _WATCHED.fullmatch(header_word) is not None


def told(tool: Tool, dropped: Iterable[str]) -> str:
    """The sentence of the report about columns that were left behind; empty if none was."""
    names = ", ".join(map(shown, dropped))
    if not names:
        return ""
    return f"Read as {TITLES[tool]}. Left behind, as no evidence but observation: {names}."
