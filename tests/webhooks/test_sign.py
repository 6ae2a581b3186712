"""Signatures are those of Standard Webhooks, and what is not signed so is refused."""

from __future__ import annotations

import pytest

from crm.webhooks import signature
from crm.webhooks.signature import BadSecret, BadSignature

# The vector that the specification's own libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
RECEIVED = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def test_the_known_vector_comes_out() -> None:
    assert signature.headers([signature.read(SECRET)], ID, AT, BODY) == RECEIVED


def test_each_secret_that_is_good_has_a_signature() -> None:
    former, new = signature.read(SECRET), bytes(range(32))
    made = signature.headers([new, former], ID, AT, BODY)
    assert made["webhook-signature"].split(" ")[1] == SIGNATURE
    for each in (former, new):
        signature.check(each, made, BODY, AT)


def test_others_beside_it_count_for_nothing() -> None:
    beside = {**RECEIVED, "webhook-signature": f"v1,bm90IHRoaXM= v1a,bm9yIHRoYXQ= {SIGNATURE}"}
    signature.check(signature.read(SECRET), beside, BODY, AT + signature.TOLERANCE)


@pytest.mark.parametrize(
    ("received", "body", "now"),
    [
        (RECEIVED, BODY + b" ", AT),
        (RECEIVED, BODY, AT + 301),
        (RECEIVED, BODY, AT - 301),
        (RECEIVED | {"webhook-id": "msg_other"}, BODY, AT),
        (RECEIVED | {"webhook-id": ""}, BODY, AT),
        (RECEIVED | {"webhook-timestamp": str(AT + 1)}, BODY, AT),
        (RECEIVED | {"webhook-timestamp": "now"}, BODY, AT),
        (RECEIVED | {"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, BODY, AT),
        (RECEIVED | {"webhook-signature": ""}, BODY, AT),
        ({}, BODY, AT),
    ],
)
def test_what_was_changed_or_is_old_is_refused(
    received: dict[str, str], body: bytes, now: int
) -> None:
    with pytest.raises(BadSignature):
        signature.check(signature.read(SECRET), received, body, now)


def test_a_secret_reads_back_as_it_is_written() -> None:
    made = bytes(range(32))
    assert signature.read(signature.written(made)) == made
    assert signature.read(SECRET.removeprefix("whsec_")) == signature.read(SECRET)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "whsec_" + "A" * 100])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(BadSecret):
        signature.read(text)
