"""Every state against every decision, by every way: what may follow, and what moves the state."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest

from crm.consent import AUTHORISES, OPTED_OUT, Consent, Method, OptOutStands, Status
from crm.consent.model import (
    OWN_WORD,
    TRANSITIONS,
    ImpossibleTransition,
    announced,
    check_transition,
    moves,
)

AT = datetime(2026, 5, 3, tzinfo=UTC)
S = Status

# Written out a second time, by hand: row is today's state, column what is decided.
#            unknown requested given refused withdrawn expired invalidated renewed
TABLE = """
never        yes     yes       yes   yes     yes       no      no          no
unknown      no      yes       yes   yes     yes       no      no          no
requested    no      yes       yes   yes     yes       yes     no          no
given        no      yes       no    no      yes       yes     yes         yes
refused      no      yes       own   no      yes       no      no          no
withdrawn    no      yes       own   no      no        no      no          no
expired      no      yes       own   no      yes       no      no          no
invalidated  no      yes       own   no      yes       no      no          no
renewed      no      yes       no    no      yes       yes     yes         yes
"""
COLUMNS = (
    S.unknown,
    S.requested,
    S.given,
    S.refused,
    S.withdrawn,
    S.expired,
    S.invalidated,
    S.renewed,
)
CASES = [
    (None if row.split()[0] == "never" else Status(row.split()[0]), status, cell)
    for row in TABLE.strip().splitlines()
    for status, cell in zip(COLUMNS, row.split()[1:], strict=True)
]


def standing(status: Status | None) -> Consent | None:
    if status is None:
        return None
    return Consent(
        customer_id=UUID(int=1),
        purpose_id=UUID(int=2),
        status=status,
        method=Method.portal,
        event_id=UUID(int=3),
        notice_id=UUID(int=4),
        at=AT,
        valid_until=None,
    )


@pytest.mark.parametrize(("present", "status", "cell"), CASES)
def test_what_may_follow(present: Status | None, status: Status, cell: str) -> None:
    for method in Method:
        allowed = cell == "yes" or (cell == "own" and method in OWN_WORD)
        if allowed:
            check_transition(standing(present), status, method)
            continue
        # Which of the two refusals: lifting an opt-out is named as what it is.
        lifts = present in OPTED_OUT and status in AUTHORISES and method not in OWN_WORD
        with pytest.raises(OptOutStands if lifts else ImpossibleTransition):
            check_transition(standing(present), status, method)


def test_the_table_names_every_pair() -> None:
    pairs = [(present, status) for present, status, _ in CASES]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == set(product([None, *Status], Status))
    assert set(TRANSITIONS) == {None, *Status}


@pytest.mark.parametrize("present", [None, *Status])
def test_a_withdrawal_may_always_follow_but_itself(present: Status | None) -> None:
    if present is not Status.withdrawn:
        check_transition(standing(present), Status.withdrawn, Method.one_click)
        assert moves(standing(present), Status.withdrawn, Method.one_click)


@pytest.mark.parametrize("present", [None, *Status])
@pytest.mark.parametrize("method", Method)
def test_a_request_moves_neither_a_yes_nor_a_no(present: Status | None, method: Method) -> None:
    moved = moves(standing(present), Status.requested, method)
    assert moved is (present in (None, Status.unknown, Status.requested))


@pytest.mark.parametrize("present", [None, *Status])
def test_giving_again_renews(present: Status | None) -> None:
    renewed = announced(standing(present), Status.given) is Status.renewed
    assert renewed is (present in AUTHORISES)


@pytest.mark.parametrize("status", Status)
def test_only_two_states_authorise_and_only_in_their_time(status: Status) -> None:
    consent = standing(status)
    assert consent is not None
    assert consent.authorises(AT) is (status in (Status.given, Status.renewed))
    ended = Consent(
        customer_id=consent.customer_id,
        purpose_id=consent.purpose_id,
        status=status,
        method=consent.method,
        event_id=consent.event_id,
        notice_id=consent.notice_id,
        at=AT,
        valid_until=AT,
    )
    assert not ended.authorises(AT)
