"""Rows of imports without evidence (`crm.imports.quarantine`): released by it, or let go."""
