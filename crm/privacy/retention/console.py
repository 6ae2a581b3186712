"""What is kept until when, and that it is deleted: for owners, and in public."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from crm import privacy
from crm.db import ReadDb
from crm.privacy.retention import sweeping
from crm.privacy.retention.declarations import DECLARED
from crm.staff import Right
from crm.staff.auth import may
from crm.web.headers import PUBLIC
from crm.web.pages import page


@get("/retention", guards=[may(Right.change_business)])
async def get_retention(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show what ends when, and what the last rounds deleted."""
    return page(
        "privacy/pages/retention.html",
        declared=[each for each in DECLARED if each.told],
        reports=await sweeping.reports(db),
        found=await privacy.processing(db),
    )


@get("/privacy")
async def get_privacy(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show everybody what is kept of customers, what for, who gets it and until when (Art. 13)."""
    return page("privacy/pages/privacy.html", headers=PUBLIC, found=await privacy.processing(db))


handlers = [get_retention]

# For everybody, and cached by whoever likes.
public = [get_privacy]
