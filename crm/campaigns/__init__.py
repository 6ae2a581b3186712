"""One issue to many customers, every delivery accounted for.

Owns `campaign`, `delivery`, `lease` and `retry`. Nothing is sent without a warrant looked at by
the claiming statement, nothing is claimed after a withdrawal has committed, and the six counts
are the audience at every moment (promises 1 to 3).
"""

from crm.campaigns.actions import (
    cancel,
    change,
    counts,
    deliveries,
    draft,
    get,
    page,
    pause,
    received,
    received_one,
    recount,
    resolve,
    resume,
    review,
    schedule,
    start,
    unschedule,
)
from crm.campaigns.composing import compiled, letterhead, values_of
from crm.campaigns.model import (
    Campaign,
    Counts,
    Delivery,
    DeliveryState,
    NewCampaign,
    Received,
    Review,
    State,
)
from crm.campaigns.source import Newsletter, read_newsletter

__all__ = [
    "Campaign",
    "Counts",
    "Delivery",
    "DeliveryState",
    "NewCampaign",
    "Newsletter",
    "Received",
    "Review",
    "State",
    "cancel",
    "change",
    "compiled",
    "counts",
    "deliveries",
    "draft",
    "get",
    "letterhead",
    "page",
    "pause",
    "read_newsletter",
    "received",
    "received_one",
    "recount",
    "resolve",
    "resume",
    "review",
    "schedule",
    "start",
    "unschedule",
    "values_of",
]
