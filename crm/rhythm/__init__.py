"""How much mail a customer wants: so many a week at most, none until a date, a digest.

Owns `rhythm`. Only she says it, and campaigns obey in the statement that claims (promise 12).
"""

from crm.rhythm.actions import (
    attention,
    change,
    choose_digest,
    export,
    forget,
    of,
    resume,
    take_over,
)
from crm.rhythm.model import Attention, Changed, Rhythm, Waiting, Wanted, Week, stricter

__all__ = [
    "Attention",
    "Changed",
    "Rhythm",
    "Waiting",
    "Wanted",
    "Week",
    "attention",
    "change",
    "choose_digest",
    "export",
    "forget",
    "of",
    "resume",
    "stricter",
    "take_over",
]
