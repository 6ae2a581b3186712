"""Restriction (Art. 18 GDPR): how a freeze that she asked for comes to its end."""

from crm.privacy.restriction.actions import (
    announce,
    check_copy,
    due,
    end,
    ending,
    forget,
    keep,
)

__all__ = [
    "announce",
    "check_copy",
    "due",
    "end",
    "ending",
    "forget",
    "keep",
]
