"""A rule as SQL with parameters: the only SQL that is put together while the program runs.

Each piece of text is a constant of this file, and each value a parameter: nothing that anybody
wrote becomes part of a statement. A test is true or false and never NULL, so `not` is what it says.

What somebody has is asked with EXISTS: a join where all tests have to hold, and below `any` and
`not` a look into an index for each customer. Once a list of ids behind `IN` is too long for a hash,
it would be gone through for each customer there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatchmethod
from typing import Any as Value
from uuid import UUID

from msgspec import Struct

from crm.customers import AttributeType, written
from crm.segments.days import Instant, anniversaries, shifted
from crm.segments.model import Field, Vocabulary
from crm.segments.rule import (
    All,
    Allowing,
    Anniversary,
    Any,
    Attribute,
    Consent,
    Created,
    DateNear,
    Delivery,
    Interaction,
    Is,
    Language,
    Mailed,
    Not,
    Question,
    Rule,
    Tag,
    asks_for_her_row,
    leads,
)
from crm.statements import Statement

# Customers within their rights: a frozen or erased record is used for nothing (Art. 18 GDPR).
_FREE = "c.business_id = $1 AND c.erased_at IS NULL AND c.restricted_at IS NULL"
# The same of somebody of whom only something she has is read, by an index of the few who are not.
_NOT_APART = (
    "NOT EXISTS (SELECT FROM crm.customer h WHERE h.business_id = $1"
    " AND h.customer_id = c.customer_id"
    " AND (h.restricted_at IS NOT NULL OR h.erased_at IS NOT NULL))"
)
_COLUMNS = {
    AttributeType.text: ("v.text_value", "text"),
    AttributeType.number: ("v.number", "numeric"),
    AttributeType.date: ("v.date", "date"),
    AttributeType.boolean: ("v.boolean", "boolean"),
}
_COMPARED = {
    Is.equals: "{column} = {value}",
    Is.begins_with: "starts_with({column}, {value})",
    Is.contains: "strpos({column}, {value}) > 0",
    Is.less_than: "{column} < {value}",
    Is.at_most: "{column} <= {value}",
    Is.at_least: "{column} >= {value}",
    Is.more_than: "{column} > {value}",
    Is.before: "{column} < {value}",
    Is.after: "{column} > {value}",
}
# Where to look for those: comparing numbers themselves narrows no index behind row-level security.
_NEAR = {
    Is.equals: "v.number_near = {near}",
    Is.less_than: "v.number_near <= {near}",
    Is.at_most: "v.number_near <= {near}",
    Is.at_least: "v.number_near >= {near}",
    Is.more_than: "v.number_near >= {near}",
}
# Of texts, the longest that are in the index to select by; as the migration says.
_INDEXED = 200
# So many times as many customers as are wanted are looked among.
_SPARE = 6
# As crm.exclusion sees it: given, renewed, or told at a sale and not objected to, and not over;
# what was told at a sale only while the business lets anything rest on that.
_STANDS = "s.status IN ('given', 'renewed', 'unobjected')"
_OVER = (
    "(coalesce(s.ends_at <= {now}, false) OR s.status = 'unobjected' AND crm.soft_opt_in_is_off())"
)
_STANDING = {
    Allowing.allowed: f"{_STANDS} AND NOT {_OVER}",
    Allowing.asked: (
        f"NOT {_STANDS} AND s.status NOT IN "
        "('refused', 'withdrawn', 'revoked', 'expired', 'invalidated')"
    ),
    Allowing.ended: (
        "(s.status IN ('refused', 'withdrawn', 'revoked', 'expired', 'invalidated')"
        f" OR {_STANDS} AND {_OVER})"
    ),
}


class Compiled(Struct, frozen=True):
    """A statement and the values of its parameters."""

    statement: Statement
    values: dict[str, Value]


def counting(rule: Rule, vocabulary: Vocabulary, at: Instant) -> Compiled:
    """Ask how many customers a rule selects."""
    writing = _Writing(vocabulary, at)
    sql = f"SELECT count(*) FROM {writing.selected(rule)}"
    return writing.compiled("count_segment", "How many customers a rule selects.", sql)


def sampling(rule: Rule, vocabulary: Vocabulary, at: Instant, selected: int, most: int) -> Compiled:
    """Ask for some of so many whom a rule selects: the first by their key, which is chance.

    Where there are many, only as many customers are asked about as are likely to have these.
    """
    writing = _Writing(vocabulary, at)
    if selected > _SPARE * most:
        last = UUID(int=2**128 // selected * _SPARE * most)
        writing.near = " AND {id} <= " + writing.bind("last", last, "uuid")
    sql = (
        f"SELECT c.customer_id FROM {writing.selected(rule)}"
        f" ORDER BY c.customer_id LIMIT {writing.bind('most', most, 'integer')}"
    )
    return writing.compiled("sample_of_segment", "Some of whom a rule selects.", sql)


def choosing(
    rule: Rule, vocabulary: Vocabulary, at: Instant, customer_ids: Sequence[UUID]
) -> Compiled:
    """Ask which of these customers a rule selects."""
    writing = _Writing(vocabulary, at)
    among = writing.bind("among", list(customer_ids), "uuid[]")
    writing.near = f" AND {{id}} = ANY ({among})"
    sql = (
        f"SELECT c.customer_id FROM crm.customer c WHERE {_FREE}{writing.near_to('c.customer_id')}"
        f" AND {writing.test(rule)}"
    )
    return writing.compiled("choose_by_segment", "Which of some customers a rule selects.", sql)


def reasoning(rule: Rule, vocabulary: Vocabulary, at: Instant, purpose_id: UUID) -> Compiled:
    """Ask how those whom a rule selects stand to a campaign of a purpose: by reason.

    As `write_deliveries` would judge each of them now.
    """
    writing = _Writing(vocabulary, at)
    purpose = writing.bind("purpose", purpose_id, "uuid")
    where = f"{_FREE} AND {writing.test(rule)}"
    sql = f"""SELECT t.reason, count(*) AS customers,
       count(*) FILTER (WHERE t.reason IS NULL AND t.status IN ('given', 'renewed')
         AND crm.asked_again(t.at, t.ends_at, t.stale_at, {writing.now})) AS asked
  FROM (SELECT s.status, s.at, s.ends_at, s.stale_at, coalesce(
                 crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at,
                               {writing.now}),
                 CASE WHEN k.customer_id IS NOT NULL AND EXISTS (
                   SELECT FROM crm.digest_plan p
                    WHERE p.business_id = $1 AND p.purpose_id = {purpose}
                      AND p.offered) THEN 'digest' END)
                 AS reason
          FROM crm.consent_now s
          JOIN crm.customer c ON c.business_id = $1 AND c.customer_id = s.customer_id
          LEFT JOIN crm.suppression u
            ON u.business_id = $1 AND u.address_hash = c.address_hash
          LEFT JOIN crm.digest_choice k ON k.business_id = $1 AND k.purpose_id = {purpose}
           AND k.customer_id = s.customer_id AND k.left_at IS NULL
         WHERE s.business_id = $1 AND s.purpose_id = {purpose} AND {where}) t
 GROUP BY t.reason ORDER BY 2 DESC"""
    return writing.compiled("audience_of_segment", "Who of a segment would get a campaign.", sql)


class _Writing:
    """One statement while it is written: its text so far is ours, its values are theirs."""

    def __init__(self, vocabulary: Vocabulary, at: Instant) -> None:
        # Where only some customers are asked about: which, so that no others are looked at.
        self.near = ""
        # Whether what is written now has to hold whatever else does, so that it can be a join.
        self._joined = True
        # Whether the test written now says from where customers come, and not whether one passes.
        self._leads = False
        self._vocabulary = vocabulary
        self._at = at
        self._values: dict[str, Value] = {}
        self._params = ["business_id"]
        self._now = ""

    @property
    def now(self) -> str:
        """The moment, as a parameter; PostgreSQL refuses one that stands nowhere."""
        self._now = self._now or self.bind("asked_at", self._at.now, "timestamptz")
        return self._now

    def bind(self, name: str, value: Value, kind: str) -> str:
        """Make a parameter of a value; `kind` is a type of PostgreSQL, and a constant of ours."""
        name = f"{name}_{len(self._params)}"
        self._params.append(name)
        self._values[name] = value
        return f"${len(self._params)}::{kind}"

    def compiled(self, name: str, doc: str, sql: str) -> Compiled:
        """Close the statement."""
        return Compiled(Statement(name, doc, sql, tuple(self._params)), self._values)

    def selected(self, rule: Rule) -> str:
        """Write from where those whom a rule selects come, as `c`.

        Their own rows are wide, and read only where a test asks for what stands in them.
        """
        tests = rule.of if isinstance(rule, All) else [rule]
        # A single test rather than several of which one has to hold.
        leading = sorted(filter(leads, tests), key=lambda each: isinstance(each, Any))
        if not leading or any(map(asks_for_her_row, tests)):
            return (
                f"crm.customer c WHERE {_FREE}{self.near_to('c.customer_id')} AND {self.test(rule)}"
            )
        self._leads = True
        those = self.test(leading[0])
        self._leads = False
        rest = self.test(All(of=[each for each in tests if each is not leading[0]]))
        return f"({those}) c WHERE {_NOT_APART} AND {rest}"

    @singledispatchmethod
    def test(self, test: Question) -> str:
        """Write one test as a condition on the customer `c`."""
        message = f"{type(test).__name__} has no SQL"
        raise NotImplementedError(message)

    @test.register
    def _(self, test: All) -> str:
        return f"({' AND '.join(self.test(each) for each in test.of) or 'true'})"

    @test.register
    def _(self, test: Any) -> str:
        if self._leads:  # UNION: whoever passes several comes once
            return " UNION ".join(map(self.test, test.of))
        return f"({' OR '.join(self._alone(each) for each in test.of) or 'false'})"

    @test.register
    def _(self, test: Not) -> str:
        return f"NOT {self._alone(test.of)}"

    @test.register
    def _(self, test: Attribute) -> str:
        declared = self._vocabulary.attributes[test.name]
        if test.is_ is Is.known or test.value is None or declared.type is None:
            return self._value(declared, "")
        column, kind = _COLUMNS[declared.type]
        given = written(declared.type, test.value)
        # Each type has a field of its name.
        typed = getattr(given, declared.type)
        value = self.bind("value", typed, kind)
        compared = _COMPARED[test.is_].format(column=column, value=value)
        if test.is_ is Is.equals and len(given.text) <= _INDEXED and column == "v.text_value":
            # A text of 2,000 letters is too long for a key, so the index has the shorter ones.
            compared += f" AND length({column}) <= {_INDEXED}"
        if declared.type is AttributeType.number:
            near = _NEAR[test.is_].format(near=f"{value}::double precision")
            compared += f" AND {near}"
        return self._value(declared, f" AND {compared}")

    @test.register
    def _(self, test: DateNear) -> str:
        low, high = (shifted(self._at.today, days) for days in (test.from_days, test.to_days))
        between = f"{self.bind('low', low, 'date')} AND {self.bind('high', high, 'date')}"
        declared = self._vocabulary.attributes[test.name]
        return self._value(declared, f" AND v.date BETWEEN {between}")

    @test.register
    def _(self, test: Anniversary) -> str:
        days = anniversaries(self._at.today, test.within_days)
        given = self.bind("days", sorted(days), "integer[]")
        declared = self._vocabulary.attributes[test.name]
        on = "(extract(month FROM v.date) * 100 + extract(day FROM v.date))::integer"
        return self._value(declared, f" AND v.date IS NOT NULL AND {on} = ANY ({given})")

    @test.register
    def _(self, test: Tag) -> str:
        declared = self._vocabulary.tags[test.name]
        name = self.bind("tag", test.name, "text")
        return self._has("crm.customer_tag v", f"v.name = {name}{self._allowed(declared)}")

    @test.register
    def _(self, test: Interaction) -> str:
        happened = f"v.kind = {self.bind('kind', test.kind, 'text')}"
        happened += self._since("v.at", test) + self._allowed(self._vocabulary.kinds[test.kind])
        if test.at_least > 1:
            often = self.bind("often", test.at_least, "integer")
            return self._often(happened, often)
        return self._has("crm.interaction v", happened)

    @test.register
    def _(self, test: Consent) -> str:
        purpose = self.bind("purpose", test.purpose_id, "uuid")
        asked = f"s.purpose_id = {purpose}"
        if test.state is Allowing.never_asked:
            return f"NOT {self._has('crm.consent_now s', asked)}"
        return self._has("crm.consent_now s", f"{asked} AND {self._stands(test.state)}")

    @test.register
    def _(self, test: Delivery) -> str:
        campaign = self.bind("campaign", test.campaign_id, "uuid")
        state = self.bind("state", test.state.value, "text")
        return self._went(f"v.campaign_id = {campaign} AND v.state = {state}")

    @test.register
    def _(self, test: Mailed) -> str:
        return self._went(f"v.state = 'sent'{self._since('v.done_at', test)}")

    @test.register
    def _(self, test: Created) -> str:
        began = f"true{self._since('c.created_at', test)}"
        if test.before is not None:
            before = self.bind("before", self._at.begins(test.before), "timestamptz")
            began += f" AND c.created_at < {before}"
        return f"({began})"

    @test.register
    def _(self, test: Language) -> str:
        code = self.bind("language", test.code.lower(), "text")
        return f"(lower(c.locale) = {code} OR starts_with(lower(c.locale), {code} || '-'))"

    def _value(self, declared: Field, compared: str) -> str:
        name = self.bind("attribute", declared.name, "text")
        held = f"v.name = {name}{compared}{self._allowed(declared)}"
        return self._has("crm.attribute_value v", held)

    def _allowed(self, declared: Field) -> str:
        """What is for a purpose counts only for whoever allows that purpose now."""
        if declared.purpose_id is None:
            return ""
        purpose = self.bind("purpose", declared.purpose_id, "uuid")
        return (
            " AND v.customer_id IN (SELECT s.customer_id FROM crm.consent_now s"
            f" WHERE s.business_id = $1 AND s.purpose_id = {purpose}"
            f" AND {self._stands(Allowing.allowed)})"
        )

    def _stands(self, state: Allowing) -> str:
        standing = _STANDING[state]
        return standing.replace("{now}", self.now) if "{now}" in standing else standing

    def _since(self, column: str, test: Interaction | Mailed | Created) -> str:
        day = test.since
        if test.within_days is not None:
            day = shifted(self._at.today, -test.within_days)
        if day is None:
            return ""
        return f" AND {column} >= {self.bind('since', self._at.begins(day), 'timestamptz')}"

    def _often(self, happened: str, often: str) -> str:
        """Count what happened: of everybody at once where it is a join, else of each customer."""
        if self._joined:
            return (
                "c.customer_id IN (SELECT v.customer_id FROM crm.interaction v"
                f" WHERE v.business_id = $1 AND {happened}{self.near_to('v.customer_id')}"
                f" GROUP BY v.customer_id HAVING count(*) >= {often})"
            )
        return self._has("crm.interaction v", happened, f" OFFSET {often} - 1")

    def _went(self, delivered: str) -> str:
        """Ask for a delivery to her, or to a record that was merged into hers: it keeps its own."""
        where = f"v.business_id = $1 AND {delivered}"
        return (
            "EXISTS (SELECT FROM (SELECT v.customer_id FROM crm.delivery v"
            f" WHERE {where}{self.near_to('v.customer_id')}"
            " UNION ALL SELECT g.merged_into FROM crm.customer g JOIN crm.delivery v"
            " ON v.customer_id = g.customer_id WHERE g.business_id = $1"
            f" AND g.merged_into IS NOT NULL AND {where}{self.near_to('g.merged_into')}) d"
            " WHERE d.customer_id = c.customer_id)"
        )

    def _alone(self, test: Question) -> str:
        """Write a test that need not hold."""
        before, self._joined = self._joined, False
        text = self.test(test)
        self._joined = before
        return text

    def _has(self, table: str, condition: str, past: str = "") -> str:
        alias = table[-1]
        near = self.near_to(f"{alias}.customer_id")
        if self._leads:
            return (
                f"SELECT {alias}.customer_id FROM {table} WHERE {alias}.business_id = $1"
                f" AND {condition}{near}"
            )
        return (
            f"EXISTS (SELECT FROM {table} WHERE {alias}.business_id = $1"
            f" AND {alias}.customer_id = c.customer_id AND {condition}{near}{past})"
        )

    def near_to(self, column: str) -> str:
        """Look only at the customers who are asked about, where these are few."""
        return self.near.replace("{id}", column)
