"""Which customers: saved rules over what is declared, counted at once, and named by campaigns.

Owns `segment`. A rule is JSON of a closed language (docs/segments.md); `compiling.py` alone makes
SQL of it, with parameters. Nobody is selected who is frozen, nor by what she has not allowed.
"""

from crm.segments.actions import (
    SAMPLE,
    Standing,
    add,
    asks_special,
    by_name,
    campaigns_to_ask_about,
    change,
    checked,
    checked_all,
    chosen,
    count,
    drop,
    get,
    hold,
    instant,
    segments,
    standing,
    vocabulary,
)
from crm.segments.days import Instant
from crm.segments.model import (
    Asked,
    BadRule,
    Counted,
    NameTaken,
    NewSegment,
    Segment,
    SegmentInUse,
    SegmentStale,
    UnknownSegment,
    Vocabulary,
    Written,
)
from crm.segments.rule import Rule

__all__ = [
    "SAMPLE",
    "Asked",
    "BadRule",
    "Counted",
    "Instant",
    "NameTaken",
    "NewSegment",
    "Rule",
    "Segment",
    "SegmentInUse",
    "SegmentStale",
    "Standing",
    "UnknownSegment",
    "Vocabulary",
    "Written",
    "add",
    "asks_special",
    "by_name",
    "campaigns_to_ask_about",
    "change",
    "checked",
    "checked_all",
    "chosen",
    "count",
    "drop",
    "get",
    "hold",
    "instant",
    "segments",
    "standing",
    "vocabulary",
]
