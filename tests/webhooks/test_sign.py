"""Signatures are those of Standard Webhooks, and what is not signed so is refused."""

from __future__ import annotations

import base64

import pytest

from crm.client import BadSignature, verify
from crm.webhooks import signature

# The vector that the specification's own libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
EVENT = (
    b'{"type":"webhook.tested","timestamp":"2026-05-01T09:00:00Z",'
    b'"data":{"id":"01a217db-4cec-7149-9ebb-4f22b1170459","customer_id":null,"ref":null}}'
)
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
RECEIVED = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def test_the_known_vector_comes_out() -> None:
    assert signature.headers([KEY], ID, AT, BODY) == RECEIVED


def test_each_secret_that_is_good_has_a_signature() -> None:
    new = bytes(range(32))
    made = signature.headers([new, KEY], ID, AT, EVENT)
    for each in (signature.written(new), SECRET):
        assert verify(each, made, EVENT, now=AT).type == "webhook.tested"


def test_others_beside_it_count_for_nothing() -> None:
    made = signature.headers([KEY], ID, AT, EVENT)
    made["webhook-signature"] = f"v1,bm90IHRoaXM= v1a,bm9yIHRoYXQ= {made['webhook-signature']}"
    assert verify(SECRET, made, EVENT, now=AT + 300).type == "webhook.tested"


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
        (RECEIVED | {"webhook-timestamp": "9" * 400}, BODY, AT),
        (RECEIVED | {"webhook-timestamp": "1" * 5000}, BODY, AT),
        (RECEIVED | {"webhook-timestamp": "\N{SUPERSCRIPT TWO}"}, BODY, AT),
        # As some servers hand on bytes that are no text.
        (RECEIVED | {"webhook-id": "\udcff"}, BODY, AT),
        (RECEIVED | {"webhook-signature": "v1,\udcff"}, BODY, AT),
        (RECEIVED | {"webhook-signature": "v1,\xff"}, BODY, AT),
        (RECEIVED | {"webhook-signature": SIGNATURE.replace("v1,", "v2,")}, BODY, AT),
        (RECEIVED | {"webhook-signature": ""}, BODY, AT),
        ({}, BODY, AT),
    ],
)
def test_what_was_changed_or_is_old_is_refused(
    received: dict[str, str], body: bytes, now: int
) -> None:
    with pytest.raises(BadSignature):
        verify(SECRET, received, body, now=now)


def test_a_secret_is_written_as_the_specification_says() -> None:
    assert signature.written(KEY) == SECRET
