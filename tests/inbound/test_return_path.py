"""A token names one mail of one business for one way, whatever happens to its case."""

from __future__ import annotations

from uuid import uuid4

import pytest

from crm.ids import time_ordered
from crm.keys import Keys
from crm.return_path import (
    Way,
    leave_address,
    open_leave,
    open_sent,
    parted,
    return_address,
    sent_token,
)
from crm.tokens import BadLink, Stop
from tests.conftest import KEYS

OTHER = Keys(link_keys=((1, b"9" * 32),), storage_keys=KEYS.storage_keys, pepper=KEYS.pepper)
# A new key before the one that made the tokens.
ROTATED = Keys(
    link_keys=((2, b"2" * 32), *KEYS.link_keys),
    storage_keys=KEYS.storage_keys,
    pepper=KEYS.pepper,
)
HASH = bytes(range(16))


@pytest.mark.parametrize("way", [Way.campaign, Way.service])
def test_it_survives_folding_and_fits(way: Way) -> None:
    """64 octets before the sign (RFC 5321 §4.5.3.1.1), upper or lower case."""
    business_id, mail_id = uuid4(), time_ordered()
    address = return_address(KEYS, business_id, "Back.Example", way, HASH, mail_id)

    assert len(address.partition("@")[0]) <= 64
    for written in (address, address.upper(), address.lower(), address.swapcase()):
        found, token, domain = parted(written)
        assert (found, domain) == (way, "back.example")
        sent = open_sent(KEYS, business_id, way, token)
        assert sent.address_hash == HASH
        assert sent.low <= mail_id <= sent.high


def test_it_is_good_for_nothing_else() -> None:
    """Another way, another business, another key, another spelling, another length."""
    business_id, mail_id = uuid4(), time_ordered()
    token = sent_token(KEYS, business_id, Way.campaign, HASH, mail_id)

    refused = [
        (KEYS, business_id, Way.service, token),
        (KEYS, business_id, Way.feedback, token),
        (KEYS, business_id, Way.leave, token),
        (KEYS, uuid4(), Way.campaign, token),
        (OTHER, business_id, Way.campaign, token),
        (KEYS, business_id, Way.campaign, token[:-1]),
        (KEYS, business_id, Way.campaign, token + "="),
        (KEYS, business_id, Way.campaign, ""),
        (KEYS, business_id, Way.campaign, "\N{LATIN SMALL LETTER SHARP S}" * 30),
    ]
    for keys, whose, way, given in refused:
        with pytest.raises(BadLink):
            open_sent(keys, whose, way, given)
    with pytest.raises(BadLink):
        open_leave(KEYS, business_id, token)


def test_every_changed_letter_is_refused() -> None:
    """One letter after the other, also those at the end with bits to spare."""
    business_id = uuid4()
    token = sent_token(KEYS, business_id, Way.campaign, HASH, time_ordered())
    for at, letter in enumerate(token):
        for other in "a7b":
            if other != letter:
                changed = token[:at] + other + token[at + 1 :]
                with pytest.raises(BadLink):
                    open_sent(KEYS, business_id, Way.campaign, changed)


@pytest.mark.parametrize("code", [None, 1, 2**32 - 1])
def test_a_leaving_address_outlives_its_key(code: int | None) -> None:
    """A mail may be answered years later: old keys still verify, and it still fits."""
    stop = Stop(uuid4(), HASH, code)
    address = leave_address(KEYS, "back.example", stop)
    way, token, _ = parted(address.upper())

    assert len(address.partition("@")[0]) <= 64
    assert way is Way.leave
    assert open_leave(ROTATED, stop.business_id, token) == stop
    sent = sent_token(KEYS, stop.business_id, Way.campaign, HASH, time_ordered())
    assert open_sent(ROTATED, stop.business_id, Way.campaign, sent).address_hash == HASH
    with pytest.raises(BadLink):
        open_leave(OTHER, stop.business_id, token)
