"""Entry points of the worker: carry out what the journal has and nobody committed."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TypedDict
from uuid import UUID

from crm.db import Database
from crm.journal import Entry, Journal, Watch, Withdrawn
from crm.restore.settling import settle
from crm.rounds import apart


class Ctx(TypedDict):
    """What the worker hands to its jobs."""

    database: Database
    watch: Watch


async def sweep(ctx: Ctx) -> None:
    """Find businesses with something open; a press of a link during a restore is such a thing.

    One whose journal is damaged keeps no other waiting, and short lines go before long ones.
    """
    keeper = ctx["watch"].keeper
    for business_id in await keeper.walk(partial(_with_open, keeper.journal)):
        with apart("restore.sweep", business_id):
            await settle(ctx["database"], keeper, business_id)


def _with_open(journal: Journal) -> list[UUID]:
    """List the businesses with open lines, those with the least to do first."""
    found: dict[UUID, int] = {}
    for each in journal.businesses():
        # What is wrong with a journal that cannot be read, whoever compares it says.
        with suppress(OSError):
            if lines := journal.log(each).tail().open.values():
                found[each] = sum(_size(entry) for line in lines for entry in line.entries)
    return sorted(found, key=found.__getitem__)


def _size(entry: Entry) -> int:
    return len(entry.decisions) if isinstance(entry, Withdrawn) else 1
