"""How a customer gets in and out: sign-up, confirmation, the portal's door, and leaving by link.

Owns `signup`, `portal_link`, `portal_session`, `address_change` and `former_address`. A sign-up
that nobody confirmed is no customer and is forgotten. An address changes when the new mailbox has
answered. Nothing here tells a stranger whose address is known. Leaving needs no sign-in and is
never refused (promise 8).
"""

from crm.access.actions import (
    confirm,
    confirm_by_code,
    confirmed_before,
    export,
    goes_on,
    offers,
    open_choices,
    seal_form,
    start,
    tidy,
    unseal_form,
    waiting,
)
from crm.access.asking_out import send_way_out
from crm.access.forgetting import forget, forget_address, former_addresses
from crm.access.form import NotOurForm, Shown
from crm.access.leaving import holder, leave, leave_by_address, owners, standings, whose
from crm.access.merging import objects, take_over
from crm.access.model import (
    Choice,
    Confirmed,
    Entered,
    Export,
    Link,
    LinkOver,
    NewSignup,
    Offer,
    OpenLink,
    OtherBrowser,
    Session,
    SignedOut,
    Signup,
    Stopped,
    TooManyCodes,
    WrongCode,
    fresh,
)
from crm.access.receipts import mail_receipt
from crm.access.sessions import (
    end_sessions,
    hold_herself,
    link,
    of_browser,
    open_by_code,
    open_link,
    open_session,
    send_link,
)

__all__ = [
    "Choice",
    "Confirmed",
    "Entered",
    "Export",
    "Link",
    "LinkOver",
    "NewSignup",
    "NotOurForm",
    "Offer",
    "OpenLink",
    "OtherBrowser",
    "Session",
    "Shown",
    "SignedOut",
    "Signup",
    "Stopped",
    "TooManyCodes",
    "WrongCode",
    "confirm",
    "confirm_by_code",
    "confirmed_before",
    "end_sessions",
    "export",
    "forget",
    "forget_address",
    "former_addresses",
    "fresh",
    "goes_on",
    "hold_herself",
    "holder",
    "leave",
    "leave_by_address",
    "link",
    "mail_receipt",
    "objects",
    "of_browser",
    "offers",
    "open_by_code",
    "open_choices",
    "open_link",
    "open_session",
    "owners",
    "seal_form",
    "send_link",
    "send_way_out",
    "standings",
    "start",
    "take_over",
    "tidy",
    "unseal_form",
    "waiting",
    "whose",
]
