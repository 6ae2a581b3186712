"""Every state against every decision, by every way: what may follow, and what moves the state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from crm.consent import AUTHORISES, CONSENTS, OPTED_OUT, Consent, Method, OptOutStands, Status
from crm.consent.states import (
    DPV,
    OWN_WORD,
    TRANSITIONS,
    ImpossibleTransition,
    announced,
    check_transition,
    moves,
)

AT = datetime(2026, 5, 3, tzinfo=UTC)
DAY = timedelta(days=1)
S = Status

# Written out a second time, by hand: row is today's state, column what is decided.
TABLE = """
             unk req def giv ren ref wit rev exp inv uno
never        yes yes yes yes no  yes yes no  no  no  yes
unknown      no  yes yes yes no  yes yes no  no  no  yes
requested    no  yes yes yes no  yes yes no  yes no  no
deferred     no  yes yes yes no  yes yes no  yes no  no
given        no  yes yes no  yes no  yes yes yes yes no
renewed      no  yes yes no  yes no  yes yes yes yes no
unobjected   no  yes yes yes no  no  yes yes yes yes yes
refused      no  yes yes own no  no  yes no  no  no  no
withdrawn    no  yes no  own no  no  no  no  no  no  no
revoked      no  yes no  own no  no  yes no  no  no  no
expired      no  yes no  own no  no  yes no  no  no  no
invalidated  no  yes no  own no  no  yes no  no  no  no
"""
COLUMNS = (
    S.unknown,
    S.requested,
    S.deferred,
    S.given,
    S.renewed,
    S.refused,
    S.withdrawn,
    S.revoked,
    S.expired,
    S.invalidated,
    S.unobjected,
)
CASES = [
    (None if row.split()[0] == "never" else Status(row.split()[0]), status, cell)
    for row in TABLE.strip().splitlines()[1:]
    for status, cell in zip(COLUMNS, row.split()[1:], strict=True)
]


@pytest.mark.parametrize(("present", "status", "cell"), CASES)
def test_what_may_follow(present: Status | None, status: Status, cell: str) -> None:
    for method in Method:
        allowed = cell == "yes" or (cell == "own" and method in OWN_WORD)
        if method is Method.renewal and present not in CONSENTS:
            # It lifts nothing and begins nothing.
            with pytest.raises(OptOutStands):
                check_transition(present, status, method)
            continue
        if allowed:
            check_transition(present, status, method)
            continue
        # Which of the two refusals: lifting an opt-out is named as what it is.
        lifts = present in OPTED_OUT and status in AUTHORISES and method not in OWN_WORD
        with pytest.raises(OptOutStands if lifts else ImpossibleTransition):
            check_transition(present, status, method)


def test_the_table_names_every_pair() -> None:
    pairs = [(present, status) for present, status, _ in CASES]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(product([None, *Status], Status))
    assert set(TRANSITIONS) == {None, *Status}


@pytest.mark.parametrize("present", [None, *Status])
def test_a_withdrawal_may_always_follow_but_itself(present: Status | None) -> None:
    if present is not Status.withdrawn:
        check_transition(present, Status.withdrawn, Method.one_click)
        assert moves(present, Status.withdrawn, Method.one_click)


@pytest.mark.parametrize("present", [None, *Status])
@pytest.mark.parametrize("method", Method)
def test_a_request_moves_neither_a_yes_nor_a_no(present: Status | None, method: Method) -> None:
    moved = moves(present, Status.requested, method)
    assert moved is (present in (None, Status.unknown, Status.requested, Status.deferred))


@pytest.mark.parametrize("present", [None, *Status])
@pytest.mark.parametrize("status", [*AUTHORISES, Status.withdrawn])
@pytest.mark.parametrize("method", [Method.portal, Method.api])
def test_a_yes_gives_way_to_none_that_is_overtaken(
    present: Status | None, status: Status, method: Method
) -> None:
    moved = moves(present, status, method, overtaken=True)
    if present in AUTHORISES:
        assert moved is (status is Status.withdrawn)
    else:
        assert moved is moves(present, status, method)


@pytest.mark.parametrize("present", [None, *Status])
def test_giving_again_renews(present: Status | None) -> None:
    """Also where a soft opt-in stood: that was no consent, so the first yes is given."""
    renewed = announced(present, Status.given) is Status.renewed
    assert renewed is (present in (Status.given, Status.renewed))


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    ("ends_at", "in_time"),
    [(None, True), (AT + timedelta(microseconds=1), True), (AT, False), (AT - DAY, False)],
)
def test_only_these_states_authorise_and_only_in_their_time(
    status: Status, ends_at: datetime | None, *, in_time: bool
) -> None:
    consent = Consent(
        customer_id=UUID(int=1),
        purpose_id=UUID(int=2),
        purpose_version=1,
        record_id=UUID(int=5),
        status=status,
        method=Method.portal,
        event_id=UUID(int=3),
        notice_id=UUID(int=4),
        at=AT,
        ends_at=ends_at,
    )
    yes = status in (Status.given, Status.renewed, Status.unobjected)
    assert consent.authorises(AT) is (yes and in_time)


def test_a_soft_opt_in_is_never_called_consent() -> None:
    assert Status.unobjected not in CONSENTS
    assert DPV[Status.unobjected] == "LegitimateInterestNotObjected"
    assert {name for status, name in DPV.items() if status in CONSENTS} == {
        "ConsentGiven",
        "RenewedConsentGiven",
    }


@pytest.mark.parametrize(
    ("years", "left", "stale", "asked"),
    [
        (2, timedelta(days=61), None, False),
        (2, timedelta(days=60), None, True),
        (2, timedelta(0), None, False),
        # Of 30 days the last ten.
        (30 / 365, timedelta(days=11), None, False),
        (30 / 365, timedelta(days=9), None, True),
        (2, timedelta(days=200), AT, True),
        (2, timedelta(0), AT, False),
    ],
)
def test_when_it_is_time_to_ask_again(
    years: float, left: timedelta, stale: datetime | None, *, asked: bool
) -> None:
    consent = Consent(
        customer_id=UUID(int=1),
        purpose_id=UUID(int=2),
        purpose_version=1,
        record_id=UUID(int=5),
        status=S.given,
        method=Method.portal,
        event_id=UUID(int=3),
        notice_id=UUID(int=4),
        at=AT + left - years * 365 * DAY,
        ends_at=AT + left,
        stale_at=stale,
    )
    assert consent.asked_again(AT) is asked
