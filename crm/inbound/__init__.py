"""Mail that came back, and what it does: bounces, complaints, wishes to leave, replies.

Owns `inbound_report`, `inbound_count`, `campaign_return`, `soft_bounce`, `mailbox` and `webhook`.
Listener, mailbox and webhooks feed one path. Only what a token of ours proves changes anything,
and it does so once. Of reports nothing is kept but a digest, a kind and a code.
"""

from crm.inbound.actions import counts, export, forget_address, hear, returns, tidy
from crm.inbound.model import (
    Arrival,
    Count,
    Effect,
    MailboxTrouble,
    NewMailbox,
    NoMailbox,
    NotAProvider,
    NotSigned,
    Provider,
    Return,
    SoftBounce,
    UnknownWebhook,
    Via,
    Vouched,
    Webhook,
    arrived,
)

__all__ = [
    "Arrival",
    "Count",
    "Effect",
    "MailboxTrouble",
    "NewMailbox",
    "NoMailbox",
    "NotAProvider",
    "NotSigned",
    "Provider",
    "Return",
    "SoftBounce",
    "UnknownWebhook",
    "Via",
    "Vouched",
    "Webhook",
    "arrived",
    "counts",
    "export",
    "forget_address",
    "hear",
    "returns",
    "tidy",
]
