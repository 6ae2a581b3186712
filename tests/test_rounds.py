"""One business that cannot be worked on keeps no other from its own, in every scheduled job."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from crm.access import jobs as access_jobs
from crm.businesses import Business
from crm.consent import jobs as consent_jobs
from crm.db import Database, Db, ReadDb, Statement, Transaction
from crm.inbound import jobs as inbound_jobs
from crm.mail import jobs as mail_jobs
from crm.privacy import jobs as privacy_jobs
from crm.rounds import apart, each_business
from crm.staff import jobs as staff_jobs
from crm.trust import jobs as trust_jobs
from tests.campaigns.test_send import settings

T = TypeVar("T")

_ALL: list[Callable[[Any], Awaitable[None]]] = [
    access_jobs.tidy,
    consent_jobs.lapse,
    consent_jobs.watch,
    inbound_jobs.tidy,
    mail_jobs.check_domains,
    privacy_jobs.sweep,
    privacy_jobs.remind,
    privacy_jobs.retain,
    staff_jobs.sweep,
    trust_jobs.count,
]


class Broken(Exception):
    """Nothing can be done for this business."""


class Breaks(Database):
    """A database of two businesses that can do nothing for the first; it keeps for whom it did."""

    def __init__(self, like: Database, broken: UUID, sound: UUID) -> None:
        super().__init__(like.connections, like.keys, like.wake, like.clock)
        self.broken = broken
        self.sound = sound
        self.asked: set[UUID] = set()

    async def above(self, statement: Statement, to: type[T], **params: Any) -> list[T]:
        """Know of no others: those of other tests would only take their time."""
        two = {self.broken, self.sound}
        found: list[Any] = await super().above(statement, to, **params)
        if "after" in params:
            # A page may be full of others.
            found = sorted(each for each in two if each > params["after"])
        return [each for each in found if getattr(each, "business_id", each) in two]

    def _asked(self, business_id: UUID) -> None:
        self.asked.add(business_id)
        if business_id == self.broken:
            raise Broken

    def read(self, business_id: UUID) -> Transaction[ReadDb]:
        """Read, or break."""
        self._asked(business_id)
        return super().read(business_id)

    def write(self, business_id: UUID) -> Transaction[Db]:
        """Write, or break."""
        self._asked(business_id)
        return super().write(business_id)


async def test_each_business_gets_its_own(
    database: Database, business: Business, other_business: Business
) -> None:
    """Also those behind the one that fails; what failed is tried again at the next turn."""
    first = min(business.id, other_business.id)
    done: list[UUID] = []

    async def act(business_id: UUID) -> None:
        if business_id == first:
            raise Broken
        done.append(business_id)

    await each_business(database, "test", act)

    assert max(business.id, other_business.id) in done
    with apart("test", first):
        raise Broken


async def test_every_job_goes_on_behind_one_that_fails(
    database: Database, business: Business, other_business: Business
) -> None:
    """Whatever is wrong with one business, the next one's turn comes in the same run."""
    first, next_one = sorted((business.id, other_business.id))
    missed = []
    for job in _ALL:
        breaks = Breaks(database, first, next_one)
        ctx: Any = {"database": breaks, "settings": settings(1)}
        await job(ctx)
        if not {first, next_one} <= breaks.asked:
            missed.append(repr(job))

    assert missed == []


def test_no_job_has_a_way_of_its_own() -> None:
    """A loop over what several businesses have due begins with `apart`, or is `each_business`."""
    bare = []
    for path in sorted(Path("crm").glob("*/jobs.py")) + sorted(Path("crm").glob("*/*/jobs.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.For) and "above." in ast.unparse(node.iter):
                inside = ast.unparse(ast.Module(node.body, []))
                if "apart(" not in inside:
                    bare.append(f"{path}:{node.lineno}")

    assert bare == []
