"""What a text lacks for somebody is found before the review, not in the mail.

A job walks all who would get a draft, in pieces; its row says how far it is and what it found. A
draft saved meanwhile begins the walk anew, for its own version.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from crm import segments
from crm.campaigns import words
from crm.campaigns.aim import would_select
from crm.campaigns.composing import MergeValue, compiled, values_of
from crm.campaigns.expression import ATTRIBUTE, Expression
from crm.campaigns.merge import Field, upright
from crm.campaigns.model import Campaign
from crm.campaigns.render import Compiled
from crm.campaigns.web_address import is_web_address
from crm.db import Db, ReadDb, Statements
from crm.errors import Conflict, Invalid

sql = Statements("campaigns")

PIECE = 5_000  # customers in one transaction
_EXAMPLES = 3
_LONGEST = 10_000  # characters of one value; a name or a city has fewer than a hundred
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_OPENS = re.compile("[\u202a\u202b\u202d\u202e\u2066-\u2068]")
_CLOSES = re.compile("[\u202c\u2069]")

Wrong = Literal["missing", "unwritable", "unworkable", "address"]


class ValuesUnchecked(Conflict):
    """Whether everybody has what this text greets them with is still being checked; wait for it."""


class ValuesLacking(Conflict):
    """Some customers lack what this text says of them. Give a default, or approve it with gaps."""


class ValuesAreAddresses(Conflict):
    """A web address would stand where this text has a field. Correct the records, or the default.

    It would be a link that not all readers have, which is tracking.
    """


class Finding(Struct, frozen=True):
    """What one field of a text lacks, for how many, and a few of them."""

    field: str
    wrong: Wrong
    customers: int
    examples: list[UUID]


class ValueCheck(Struct, frozen=True, kw_only=True):
    """A walk through all who would get a draft; `audience` is 0 until it has begun."""

    version: int
    purpose_id: UUID
    state: Literal["walking", "done"]
    walked_to: UUID
    audience: int
    looked: int
    getting: int
    lacking: int
    findings: list[Finding]
    began_at: datetime
    ended_at: datetime | None

    @property
    def share(self) -> float:
        """How much of the audience was looked at, from 0 to 1."""
        return min(self.looked / self.audience, 1.0) if self.audience else 0.0

    @property
    def tracks(self) -> bool:
        """Whether somebody would read a link of her own, which nobody can wave through."""
        return any(each.wrong == "address" for each in self.findings)


class _Looked(Struct, frozen=True):
    customer_id: UUID
    address: str
    name: str
    gets: bool


async def begin(db: Db, campaign_id: UUID) -> None:
    """Have the values of the present version checked; an older walk is over by that."""
    await db.run(sql.begin_value_check, campaign_id=campaign_id)
    db.wake("campaigns.check_values", str(db.business_id), str(campaign_id))


async def newest(db: ReadDb, campaign: Campaign) -> ValueCheck | None:
    """Return the walk for the present version, over or not; None where there is none."""
    found = await db.maybe(sql.value_check, ValueCheck, campaign_id=campaign.id)
    if found is None or found.version != campaign.version:
        return None
    if campaign.segment_id is not None:
        # Whom it goes to may have changed since.
        changed_at = (await segments.get(db, campaign.segment_id)).changed_at
        return found if changed_at <= found.began_at else None
    return found


async def insist(
    db: ReadDb, campaign: Campaign, message: Compiled, *, despite_gaps: bool = False
) -> None:
    """Refuse while it is not known that nobody reads a gap, or while somebody would.

    A web address as a value is refused whatever was approved.
    """
    check = await newest(db, campaign)
    done = check is not None and check.state == "done"
    if message.may_lack and not done:
        raise ValuesUnchecked
    given = any(is_web_address(field.default or "") for field in message.depends)
    if given or (check is not None and check.tracks):
        raise ValuesAreAddresses
    if check is not None and check.lacking and not despite_gaps:
        raise ValuesLacking


async def walk_piece(db: Db, campaign: Campaign, size: int = PIECE) -> bool:
    """Look at the next customers, in one transaction; False when there is nothing more to do.

    A crash between two pieces loses nothing: the next call goes on after the last one.
    """
    held = await db.maybe(sql.hold_value_check, ValueCheck, campaign_id=campaign.id)
    if held is None or held.version != campaign.version:
        return False
    try:
        message = await compiled(db, campaign)
    except Invalid:
        await db.run(sql.drop_value_check, campaign_id=campaign.id, version=held.version)
        return False
    found: list[_Looked] = []
    audience = held.audience
    if message.depends:
        audience = audience or await db.one(sql.asked_about, int, purpose_id=held.purpose_id)
        keys = {"purpose_id": held.purpose_id, "after": held.walked_to, "size": size}
        found = await db.many(sql.customers_to_check, _Looked, **keys)
    aimed = await would_select(db, campaign, [each.customer_id for each in found])
    getting = [each for each in found if each.gets and each.customer_id in aimed]
    hers = await db.many(sql.attributes_of_hers, str)
    walk = _Walk(message, held.findings, [f"{ATTRIBUTE}{name}" for name in hers])
    await walk.look(db, getting)
    await db.run(
        sql.walked,
        campaign_id=campaign.id,
        version=held.version,
        walked_to=found[-1].customer_id if found else held.walked_to,
        audience=audience,
        looked=held.looked + len(found),
        getting=held.getting + len(getting),
        lacking=held.lacking + walk.lacking,
        findings=walk.findings(),
        state="walking" if found else "done",
    )
    return bool(found)


class _Walk:
    def __init__(self, message: Compiled, before: list[Finding], hers: Collection[str]) -> None:
        self._message = message
        self._hers = hers
        self._counts = Counter({(f.field, f.wrong): f.customers for f in before})
        self._examples = {(f.field, f.wrong): list(f.examples) for f in before}
        self.lacking = 0

    async def look(self, db: ReadDb, getting: list[_Looked]) -> None:
        """Judge every field for each of them."""
        names = self._message.attributes
        held: dict[UUID, dict[str, str]] = {}
        if names and getting:
            ids = [each.customer_id for each in getting]
            for row in await db.many(sql.merge_values, MergeValue, customer_ids=ids, names=names):
                held.setdefault(row.customer_id, {})[row.name] = row.value
        for each in getting:
            values = values_of(each.name, each.address, held.get(each.customer_id, {}))
            self._judge(each.customer_id, {**values, "business": self._message.business})

    def _judge(self, customer_id: UUID, values: Mapping[str, str]) -> None:
        whole = True
        for field in self._message.depends:
            wrong = judged(field, values, self._hers)
            if wrong is None:
                continue
            key = (field.name, wrong)
            self._counts[key] += 1
            examples = self._examples.setdefault(key, [])
            if len(examples) < _EXAMPLES:
                examples.append(customer_id)
            whole = False
        self.lacking += not whole

    def findings(self) -> list[Finding]:
        """Return what was found so far, the most frequent first."""
        return [
            Finding(field, wrong, count, self._examples[field, wrong])
            for (field, wrong), count in self._counts.most_common()
        ]


def judged(field: Field, values: Mapping[str, str], hers: Collection[str] = ()) -> Wrong | None:
    """Say what is wrong with a field for somebody with these values.

    Of `hers` are the attributes that customers set themselves: a web address in one concerns her
    mail only, or anybody could keep a campaign from starting. So it is with names.
    """
    for name in field.asks:
        value = values.get(name, "")
        if not (value.isascii() and value.isprintable()) and _strange(value):
            return "unwritable"
        if len(value) > _LONGEST:
            return "unwritable"
    try:
        if field.expression is None:
            return _looked_up(field, values.get(field.name, ""), hers)
        return _worked_out(field.expression, values, hers)
    except ValueError:
        return "unworkable"


def _looked_up(field: Field, value: str, hers: Collection[str]) -> Wrong | None:
    named = field.name in words.NAMES
    if is_web_address(upright(value)):
        if not named and field.name not in hers:
            return "address"
        # It is as though she had no name; another value of hers goes unless a default does.
        return None if field.default is not None else "missing" if named else "unwritable"
    return "missing" if field.default is None and not value.strip() else None


def _worked_out(
    expression: Expression, values: Mapping[str, str], hers: Collection[str]
) -> Wrong | None:
    if words.leads_astray(expression, values):
        values = words.nameless(values)
        if words.leads_astray(expression, values):
            others = words.nameless(words.usual(values), hers)
            return "address" if words.leads_astray(expression, others) else "unwritable"
    return "missing" if expression.lacks(values) else None


def _strange(value: str) -> bool:
    """Say whether it holds control characters, or turns the direction of what follows it."""
    turned = len(_OPENS.findall(value)) != len(_CLOSES.findall(value))
    return turned or _CONTROL.search(value) is not None
