"""How long what is kept outside the database lasts: backups, and entries of the journal.

The operator sets both. What customers are told of them is made of these two numbers.
"""

from __future__ import annotations

from crm.settings import Settings


class Outside:
    """In days; those of the settings once a process has read them."""

    def __init__(self) -> None:
        """Take what holds where nothing is set."""
        self.use(Settings(link_keys="", storage_keys="", pepper=""))

    def use(self, settings: Settings) -> None:
        """Take what the operator has set."""
        self.backup_days, self.journal_days = settings.backup_days, settings.journal_days


outside = Outside()
