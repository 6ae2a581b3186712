"""A copy that is sent to us whole: read, tried out before anybody decides, and taken over."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from contextlib import ExitStack

from msgspec import Struct

from crm.db import Db
from crm.errors import Invalid, Problem
from crm.events import Actor
from crm.privacy.brought.foreign import Asked
from crm.privacy.brought.taking_over import Took, take_over
from crm.privacy.copies.archive import BrokenArchive, opened

# Of the file as it is sent, and of what is in it: `crm import` reads larger ones.
LARGEST = 16_000_000
_LARGEST_INSIDE = 256 << 20


class NotACopy(Invalid):
    """This file is no copy of ours, or it is not as it was packed; nothing was taken over."""


class Arrived(Struct, frozen=True):
    """What came of a copy, or would: of which business it is, and what that one asked her."""

    took: Took
    origin: str
    # Short names of its purposes.
    purposes: list[str]


async def arrive(
    db: Db,
    by: Actor,
    content: bytes,
    *,
    declare: bool = False,
    purposes: Mapping[str, str] | None = None,
    only_try: bool = False,
) -> Arrived:
    """Take a copy over as `take_over` does or, to `only_try`, say what would come of it.

    Refuses with NotACopy, which says what is wrong with which file, or as `take_over` does.
    """
    try:
        with ExitStack() as stack:
            # Every file is read through; others go on meanwhile.
            file = opened(io.BytesIO(content), _LARGEST_INSIDE)
            copy = await asyncio.to_thread(stack.enter_context, file)
            async with db.together(only_try=only_try):
                took = await take_over(db, by, copy, declare=declare, purposes=purposes)
            return Arrived(
                took,
                copy.manifest.business.name,
                sorted({each.slug for each in copy.rows("purposes", Asked)}),
            )
    except BrokenArchive as broken:
        sentence = f"Nothing was taken over: {broken}."
        raise NotACopy(sentence, [Problem("file", sentence)]) from None
