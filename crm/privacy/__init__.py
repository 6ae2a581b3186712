"""Everything we hold about one customer: shown to her, taken with her, or deleted.

Owns `copy`, `copy_part`, `brought`, `privacy_request` with the log of its steps, and `erasure`, the
certificates of erasures, which name nobody. Calls `export` and
`forget` of every domain that holds personal data: `contents.py` and `actions.py` name them, and a
test that reads the catalog finds what they leave out (promises 8 to 11). A copy is built by a job,
kept encrypted for three days, and given to whoever asked for it. What else customers ask under the
GDPR has its last day.
"""

from crm.access import fresh
from crm.privacy.actions import erase, erase_traces, freeze, home, inventory, unfreeze
from crm.privacy.answering import (
    erase_herself,
    free_herself,
    freeze_herself,
    fulfil,
    object_herself,
    object_to_marketing,
    remind,
)
from crm.privacy.asking import ask
from crm.privacy.certificate import (
    Certificate,
    Signed,
    certificate_token,
    open_certificate,
)
from crm.privacy.certifying import UnknownErasure, certificate, drop_old_certificates
from crm.privacy.copies import Copy, NotReady, UnknownCopy
from crm.privacy.grace import GRACE, NothingToCallOff, call_off, carry_out, plan, wish_of_link
from crm.privacy.model import (
    Erased,
    Fingerprint,
    Home,
    Inventory,
    NotHerChoice,
    Wish,
)
from crm.privacy.processing import Processing, processing
from crm.privacy.request import NewRequest, Request, RequestKind, RequestState
from crm.privacy.wishes import wish

__all__ = [
    "GRACE",
    "Certificate",
    "Copy",
    "Erased",
    "Fingerprint",
    "Home",
    "Inventory",
    "NewRequest",
    "NotHerChoice",
    "NotReady",
    "NothingToCallOff",
    "Processing",
    "Request",
    "RequestKind",
    "RequestState",
    "Signed",
    "UnknownCopy",
    "UnknownErasure",
    "Wish",
    "ask",
    "call_off",
    "carry_out",
    "certificate",
    "certificate_token",
    "drop_old_certificates",
    "erase",
    "erase_herself",
    "erase_traces",
    "free_herself",
    "freeze",
    "freeze_herself",
    "fresh",
    "fulfil",
    "home",
    "inventory",
    "object_herself",
    "object_to_marketing",
    "open_certificate",
    "plan",
    "processing",
    "remind",
    "unfreeze",
    "wish",
    "wish_of_link",
]
