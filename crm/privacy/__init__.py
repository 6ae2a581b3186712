"""Everything we hold about one customer: shown to her, taken with her, or deleted.

Owns no table: it calls `export` and `forget` of every domain that holds personal data, in one
visible tuple (`actions.py`), and a test that reads the catalog finds what the tuple leaves out
(promises 8 to 11).
"""

from crm.privacy.actions import copy, erase, erase_traces, freeze, home, inventory, unfreeze
from crm.privacy.model import (
    Copy,
    Erased,
    Fingerprint,
    Home,
    Inventory,
    NotHerChoice,
    fresh,
)
from crm.privacy.processing import Processing, processing

__all__ = [
    "Copy",
    "Erased",
    "Fingerprint",
    "Home",
    "Inventory",
    "NotHerChoice",
    "Processing",
    "copy",
    "erase",
    "erase_traces",
    "freeze",
    "fresh",
    "home",
    "inventory",
    "processing",
    "unfreeze",
]
