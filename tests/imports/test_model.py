"""What a row is worth, what it does to the books, and that no order of rows undoes an opt-out."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from crm.consent import OPTED_OUT, EvidenceKind, Status
from crm.imports.decision import (
    BOUNCED,
    Closed,
    Decision,
    KnownCustomer,
    Outcome,
    decide,
)
from crm.imports.model import (
    Row,
    RowStatus,
    evidence_kind,
    merge,
    opts_out,
)

ASKED = datetime(2021, 5, 4, 9, 10, tzinfo=UTC)
CONFIRMED = datetime(2021, 5, 4, 9, 12, tzinfo=UTC)
LEFT = datetime(2023, 6, 7, tzinfo=UTC)
DOUBLE = frozenset({EvidenceKind.former_double_opt_in})
SINGLE = DOUBLE | {EvidenceKind.former_single_opt_in}

PROVEN = Row(
    2, "a@example.com", "Ada", RowStatus.subscribed, opted_in_at=ASKED, confirmed_at=CONFIRMED
)
HALF = replace(PROVEN, line=3, confirmed_at=None)
UNPROVEN = Row(4, "a@example.com", "Ada", RowStatus.subscribed)
UNSAID = Row(5, "a@example.com", opted_in_at=ASKED, confirmed_at=CONFIRMED)
GONE = replace(PROVEN, line=6, status=RowStatus.unsubscribed, unsubscribed_at=LEFT)
CLEANED = replace(PROVEN, line=7, status=RowStatus.cleaned, bounced=True)
# By which a yes ends without her.
ENDED = frozenset({Status.expired, Status.revoked, Status.invalidated})
KINDS = (PROVEN, HALF, UNPROVEN, UNSAID, GONE, CLEANED)


def entered(known: KnownCustomer | None, decision: Decision) -> KnownCustomer | None:
    """The books after a decision was carried out."""
    if not decision.changes:
        return known
    before = known or KnownCustomer(exists=False)
    assert decision.add is not before.exists
    return replace(
        before,
        exists=True,
        standing=decision.event or before.standing,
        suppressed=before.suppressed or decision.suppress is not None,
        filled=before.filled | decision.fill.keys(),
        tagged=before.tagged | set(decision.tags),
        own_consent_at=None if decision.event else before.own_consent_at,
    )


def mailable(known: KnownCustomer | None) -> bool:
    return known is not None and known.standing is Status.given and not known.suppressed


@pytest.mark.parametrize(
    ("row", "accepts", "outcome", "event"),
    [
        (PROVEN, DOUBLE, Outcome.mailable, Status.given),
        (PROVEN, frozenset(), Outcome.unproven, Status.unknown),
        (HALF, DOUBLE, Outcome.unproven, Status.unknown),
        (HALF, SINGLE, Outcome.mailable, Status.given),
        (UNPROVEN, SINGLE, Outcome.unproven, Status.unknown),
        (UNPROVEN, frozenset(EvidenceKind), Outcome.unproven, Status.unknown),
        (UNSAID, DOUBLE, Outcome.unproven, Status.unknown),
        (GONE, DOUBLE, Outcome.left, Status.withdrawn),
        (CLEANED, DOUBLE, Outcome.bounced, Status.unknown),
    ],
)
def test_a_new_address(
    row: Row, accepts: frozenset[EvidenceKind], outcome: Outcome, event: Status
) -> None:
    decision = decide(row, None, accepts)
    assert (decision.outcome, decision.event, decision.add) == (outcome, event, True)
    assert decision.suppress == (BOUNCED if row is CLEANED else None)
    assert decision.reason.endswith(".")


def test_a_confirmation_before_the_sign_up_confirms_nothing() -> None:
    row = replace(PROVEN, confirmed_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert evidence_kind(row) is EvidenceKind.former_single_opt_in


@pytest.mark.parametrize("row", KINDS)
@pytest.mark.parametrize("standing", sorted(OPTED_OUT))
@pytest.mark.parametrize("suppressed", [True, False])
def test_an_opt_out_is_never_undone(row: Row, standing: Status, suppressed: bool) -> None:  # noqa: FBT001
    known = KnownCustomer(standing=standing, suppressed=suppressed)
    decision = decide(row, known, SINGLE, frozenset({"City"}))
    assert decision.event in (None, Status.withdrawn)
    left = suppressed or standing not in ENDED
    assert not (decision.fill and left), "nothing new is learned about who has left"


@pytest.mark.parametrize("row", [PROVEN, HALF, UNPROVEN, UNSAID])
@pytest.mark.parametrize("standing", sorted(ENDED))
def test_whose_yes_ended_is_filled_and_stays_so(row: Row, standing: Status) -> None:
    """She has not left, and nothing but she gives the yes again."""
    row = replace(row, name="Ada", other={"City": "Oslo"}, tags=("vip",))
    known = KnownCustomer(standing=standing, tagged=frozenset({"other"}))
    decision = decide(row, known, SINGLE, frozenset({"City"}), frozenset({"vip", "other"}))
    assert (decision.event, decision.add, decision.suppress) == (None, False, None)
    assert (decision.fill, decision.tags) == ({"name": "Ada", "City": "Oslo"}, ("vip",))
    assert "has left" not in decision.reason
    assert "has ended" in decision.reason


@pytest.mark.parametrize("row", KINDS)
def test_a_suppressed_address_never_becomes_mailable(row: Row) -> None:
    for standing in (None, *Status):
        known = KnownCustomer(standing=standing, suppressed=True)
        decision = decide(row, known, SINGLE)
        assert decision.event in (None, Status.withdrawn)
        assert decision.suppress is None


@pytest.mark.parametrize("row", KINDS)
def test_who_was_erased_does_not_come_back(row: Row) -> None:
    decision = decide(row, KnownCustomer(exists=False, suppressed=True), SINGLE)
    assert not decision.changes
    assert decision.outcome is Outcome.kept_out


@pytest.mark.parametrize("row", KINDS)
def test_what_nobody_decided_takes_nobody_in(row: Row) -> None:
    """An opt-out alone is kept: some day such an address is open again."""
    decision = decide(row, KnownCustomer(exists=False, suppressed=True, decided=False), SINGLE)
    assert (decision.outcome, decision.add) == (Outcome.kept_out, False)
    assert (decision.suppress is not None) is (row.status is RowStatus.unsubscribed)


def test_an_opt_out_from_the_file_ends_a_consent() -> None:
    decision = decide(GONE, KnownCustomer(standing=Status.given), DOUBLE)
    assert (decision.outcome, decision.event) == (Outcome.left, Status.withdrawn)


@pytest.mark.parametrize("closed", list(Closed))
@pytest.mark.parametrize("standing", [None, *Status])
def test_where_no_yes_is_taken_a_no_counts_as_ever(standing: Status | None, closed: Closed) -> None:
    known = KnownCustomer(standing=standing)
    for row in (GONE, CLEANED):
        assert decide(row, known, SINGLE, closed=closed) == decide(row, known, SINGLE)
    assert decide(PROVEN, known, SINGLE, closed=closed).event in {None, Status.unknown}


def test_a_yes_that_comes_too_late_is_told_and_kept_apart() -> None:
    late = decide(PROVEN, None, SINGLE, closed=Closed.words_ended)
    assert (late.outcome, late.event, late.add) == (Outcome.unproven, Status.unknown, True)
    asked = KnownCustomer(standing=Status.requested)
    told = decide(PROVEN, asked, SINGLE, closed=Closed.words_ended)
    assert (told.event, told.reason) == (None, late.reason)
    assert decide(UNPROVEN, None, SINGLE, closed=Closed.words_ended).reason != late.reason
    assert not decide(PROVEN, None, SINGLE, closed=Closed.retired).changes


def test_who_came_back_to_us_stays() -> None:
    later = datetime(2024, 1, 1, tzinfo=UTC)
    known = KnownCustomer(standing=Status.given, own_consent_at=later)
    assert not decide(GONE, known, DOUBLE).changes
    undated = replace(GONE, unsubscribed_at=None)
    assert decide(undated, known, DOUBLE).event is Status.withdrawn
    newer = replace(GONE, unsubscribed_at=datetime(2025, 1, 1, tzinfo=UTC))
    assert decide(newer, known, DOUBLE).event is Status.withdrawn


@pytest.mark.parametrize(
    ("earlier", "assumed", "gone"),
    [(1, False, False), (1, True, True), (12, True, True), (13, True, False), (-1, False, True)],
)
def test_a_leaving_without_a_zone_may_be_newer_by_twelve_hours(
    earlier: int,
    assumed: bool,  # noqa: FBT001
    gone: bool,  # noqa: FBT001
) -> None:
    """A clock farthest behind UTC shows twelve hours less; one ahead shows more, which is safe."""
    known = KnownCustomer(standing=Status.given, own_consent_at=LEFT)
    at = LEFT - timedelta(hours=earlier)
    row = replace(GONE, unsubscribed_at=at, left_assumed=assumed)
    assert (decide(row, known, DOUBLE).event is Status.withdrawn) is gone


def test_only_empty_fields_are_filled() -> None:
    row = replace(PROVEN, other={"City": "Oslo", "Shoe size": "43", "Zip": "0150"})
    known = KnownCustomer(standing=Status.given, filled=frozenset({"Zip"}))
    decision = decide(row, known, DOUBLE, frozenset({"City", "Zip"}))
    assert decision.fill == {"name": "Ada", "City": "Oslo"}
    assert (decision.outcome, decision.event) == (Outcome.filled, None)


def test_only_declared_tags_that_she_lacks_are_put_on() -> None:
    row = replace(PROVEN, tags=("vip", "baker", "other"))
    known = KnownCustomer(
        standing=Status.given, filled=frozenset({"name"}), tagged=frozenset({"vip"})
    )
    decision = decide(row, known, DOUBLE, tags=frozenset({"vip", "baker"}))
    assert (decision.tags, decision.fill, decision.changes) == (("baker",), {}, True)
    assert not decide(row, known, DOUBLE, tags=frozenset({"vip"})).changes


@pytest.mark.parametrize("row", [PROVEN, UNPROVEN, GONE, CLEANED])
def test_who_is_out_or_goes_gets_no_tag(row: Row) -> None:
    tagged = replace(row, tags=("vip",), time_zone="Europe/Oslo", external_id="7")
    for known in (None, *(KnownCustomer(standing=standing) for standing in Status)):
        decision = decide(tagged, known, DOUBLE, tags=frozenset({"vip"}))
        out = known is not None and known.standing in OPTED_OUT - ENDED
        joins = not opts_out(row) and not out
        assert bool(decision.tags) is joins
        assert {"time zone", "external id"} <= decision.fill.keys() or not joins
        assert joins or not decision.fill


def test_proof_that_comes_later_counts() -> None:
    known = KnownCustomer(standing=Status.unknown, filled=frozenset({"name"}))
    assert decide(PROVEN, known, DOUBLE).event is Status.given
    assert not decide(UNPROVEN, known, DOUBLE).changes


@pytest.mark.parametrize("row", KINDS)
@pytest.mark.parametrize("standing", [None, *Status])
def test_the_same_row_again_changes_nothing(row: Row, standing: Status | None) -> None:
    row = replace(row, tags=("vip", "baker"), time_zone="Europe/Oslo", external_id="7")
    tags = frozenset({"vip"})
    for known in (None, KnownCustomer(standing=standing)):
        after = entered(known, decide(row, known, SINGLE, tags=tags))
        assert not decide(row, after, SINGLE, tags=tags).changes


@pytest.mark.parametrize("rows", list(permutations(KINDS, 3)))
def test_any_order_of_files_ends_the_same(rows: tuple[Row, ...]) -> None:
    books = None
    for row in rows:
        books = entered(books, decide(row, books, DOUBLE))
    assert mailable(books) == (PROVEN in rows and not any(opts_out(row) for row in rows))
    assert books is not None
    assert (books.standing is Status.withdrawn) == (GONE in rows)
    assert books.suppressed == (CLEANED in rows)


@pytest.mark.parametrize("rows", list(permutations(KINDS, 3)))
def test_rows_of_one_batch_are_taken_together(rows: tuple[Row, ...]) -> None:
    merged = merge(rows)
    assert merged == merge(reversed(rows))
    books = entered(None, decide(merged, None, DOUBLE))
    assert mailable(books) == (PROVEN in rows and not any(opts_out(row) for row in rows))
    assert books is not None
    assert books.suppressed == (CLEANED in rows)
    assert (books.standing is Status.withdrawn) == (GONE in rows)


def test_merging_takes_the_later_opt_out_and_all_that_was_said() -> None:
    other = replace(GONE, line=9, name="", unsubscribed_at=datetime(2024, 1, 1, tzinfo=UTC))
    other = replace(other, tags=("b",), other={"City": "Oslo", "Zip": "1"})
    first = replace(GONE, tags=("a", "b"), other={"City": "Rome"})
    merged = merge([other, first])
    assert merged.unsubscribed_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert (merged.line, merged.name, merged.tags) == (6, "Ada", ("a", "b"))
    assert merged.other == {"City": "Rome", "Zip": "1"}
    assert merge([replace(first, external_id="7"), replace(other, time_zone="UTC")]) == replace(
        merged, external_id="7", time_zone="UTC"
    )
    undated = merge([first, replace(other, unsubscribed_at=None)])
    assert undated.unsubscribed_at is None, "an opt-out without a time may be the newer one"


def test_merging_keeps_the_leaving_that_may_be_the_last() -> None:
    exact = replace(GONE, line=9, unsubscribed_at=LEFT + timedelta(hours=1))
    vague = replace(GONE, left_assumed=True, zone_assumed=True)
    for rows in ((exact, vague), (vague, exact)):
        merged = merge(rows)
        assert merged.left_by == LEFT + timedelta(hours=12)
        assert (merged.left_assumed, merged.zone_assumed) == (True, True)
    later = merge([replace(exact, unsubscribed_at=LEFT + timedelta(hours=13)), vague])
    assert (later.left_by, later.left_assumed) == (LEFT + timedelta(hours=13), False)


def test_merging_prefers_what_proves_more_to_what_has_more_times() -> None:
    """A confirmation older than the sign-up proves no more than none."""
    odd = replace(PROVEN, line=1, confirmed_at=ASKED - timedelta(days=1))
    assert evidence_kind(merge([odd, PROVEN])) is EvidenceKind.former_double_opt_in
    uploaded = replace(PROVEN, line=1, opted_in_at=None)
    assert evidence_kind(merge([uploaded, HALF])) is EvidenceKind.former_single_opt_in


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), st.randoms())
def test_no_order_and_no_cut_into_batches_matters(rows: list[Row], chance: object) -> None:
    """In two passes, opt-outs first, nobody is mailable in between who is not at the end."""
    books = None
    ever_mailable = False
    for first in (True, False):
        for row in rows:
            if opts_out(row) is first:
                books = entered(books, decide(row, books, DOUBLE))
                ever_mailable = ever_mailable or mailable(books)
    assert ever_mailable == mailable(books)
    assert mailable(books) == (PROVEN in rows and not any(map(opts_out, rows)))
