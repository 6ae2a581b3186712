"""Copies: all that is held of a customer, for her to take (Art. 15 and 20 GDPR, docs/copy.md)."""

from crm.privacy.copies.actions import (
    ask,
    asked_of,
    claim,
    due,
    end,
    extent,
    finish,
    forget,
    get,
    keep,
    lapse,
    newest,
    part,
    to_fetch,
    to_take,
)

__all__ = [
    "ask",
    "asked_of",
    "claim",
    "due",
    "end",
    "extent",
    "finish",
    "forget",
    "get",
    "keep",
    "lapse",
    "newest",
    "part",
    "to_fetch",
    "to_take",
]
