"""What is declared to be kept of lists that are imported, and until when."""

from __future__ import annotations

from crm import imports
from crm.imports.quarantine import QUARANTINED
from crm.languages import marked
from crm.privacy.retention.declared import By, Declared

OF_LISTS: tuple[Declared, ...] = (
    Declared(
        name="import_files",
        tables=("import_file",),
        what=marked("Lists that are imported, encrypted until it is their turn"),
        why=marked("To take them over"),
        until=marked("the import is done, or %(number)s days"),
        number=imports.WAITS.days,
        by=By.job,
        job="imports.sweep",
    ),
    Declared(
        name="quarantine",
        tables=("quarantine",),
        what=marked("Rows of imported lists that say you agreed and do not show it"),
        why=marked("To wait for the evidence; they allow nothing"),
        until=marked("the evidence comes, or %(number)s days after the import"),
        number=QUARANTINED.days,
        by=By.job,
        job="privacy.let_go",
    ),
    Declared(
        name="import_rows",
        tables=("import_row",),
        what=marked("Remarks about rows of imported lists, without what stood in them"),
        why=marked("To put a list right"),
        until=marked("%(number)s days after the import"),
        number=imports.REMARKS_KEPT.days,
        by=By.sweep,
        job="privacy.retain",
    ),
)
