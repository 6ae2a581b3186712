"""Two records of one person made one (Art. 5(1)(d) GDPR: what is kept is accurate)."""

from crm.privacy.merging.actions import merge, merged_records, plan
from crm.privacy.merging.model import Merged, NotMergeable, Plan, SameRecord

__all__ = [
    "Merged",
    "NotMergeable",
    "Plan",
    "SameRecord",
    "merge",
    "merged_records",
    "plan",
]
