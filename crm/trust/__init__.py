"""What a business does with the consent it is given, for everybody to see and to check.

Owns `trust_figures`: sums that are counted once an hour and name nobody. All else on the page is
what other domains publish already: purposes with their words, the ledger's head, the archive.
"""

from crm.trust.actions import count, shown
from crm.trust.model import ENOUGH, Figures, Month, Shown, Words

__all__ = ["ENOUGH", "Figures", "Month", "Shown", "Words", "count", "shown"]
