"""Customers from elsewhere, taken in as one unit that can be reported.

Owns `import`, `import_turn`, `import_file`, `import_row` and `quarantine`. An import is one
transaction: killed half-way it has not been. It mails nobody, records foreign evidence as what it
is, and never undoes an opt-out, whatever the order of rows and files (promise 7). Its rows add up:
each is added, changed, unchanged or rejected.
"""

from crm.imports.actions import (
    REMARKS_KEPT,
    WAITS,
    Place,
    asked_by,
    expected,
    fail,
    fail_open,
    get,
    give_up,
    hold_undo,
    lapse_rows,
    move_undo,
    page,
    reasons,
    receive,
    report,
    start,
    undo,
    undoing,
    undone,
    whole_report,
)
from crm.imports.columns import Unreadable
from crm.imports.elsewhere import take_row
from crm.imports.model import (
    AnotherRuns,
    Import,
    NotDone,
    NotTried,
    PurposeOutOfUse,
    Reason,
    Row,
    RowReport,
    RowStatus,
    SameFile,
    State,
    Told,
    Tool,
    Undoing,
    UnknownImport,
    standing_there,
)
from crm.imports.presets import TITLES
from crm.imports.working import Progress, work_file, work_waiting

__all__ = [
    "REMARKS_KEPT",
    "TITLES",
    "WAITS",
    "AnotherRuns",
    "Import",
    "NotDone",
    "NotTried",
    "Place",
    "Progress",
    "PurposeOutOfUse",
    "Reason",
    "Row",
    "RowReport",
    "RowStatus",
    "SameFile",
    "State",
    "Told",
    "Tool",
    "Undoing",
    "UnknownImport",
    "Unreadable",
    "asked_by",
    "expected",
    "fail",
    "fail_open",
    "get",
    "give_up",
    "hold_undo",
    "lapse_rows",
    "move_undo",
    "page",
    "reasons",
    "receive",
    "report",
    "standing_there",
    "start",
    "take_row",
    "undo",
    "undoing",
    "undone",
    "whole_report",
    "work_file",
    "work_waiting",
]
