"""What providers post is believed by its secret, and Amazon's by its signature and topic too."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from crm import consent, mail
from crm.businesses import Business
from crm.clock import utc_now
from crm.consent import Status
from crm.db import Database
from crm.inbound import Provider
from crm.inbound.heard import Bounce
from crm.inbound.model import Arrival
from crm.inbound.providers import make_webhook, webhooks
from crm.inbound.reports import postmark_arrival, ses_arrivals, sns_message
from crm.inbound.webhooks import Amazon
from crm.mail import Scope, Why
from tests import make
from tests.browser import Browser
from tests.inbound.letters import Sent, sent

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
_KEY = rsa.generate_private_key(65537, 2048)


def _pem() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = utc_now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=1))
        .sign(_KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class _Amazon:
    """Answers as Amazon SNS does, and knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url))
        return httpx2.Response(200, content=_pem() if str(request.url).endswith(".pem") else b"ok")


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> _Amazon:
    """Put Amazon's place on the network into ours."""
    found = _Amazon()
    monkeypatch.setattr("crm.inbound.webhooks._AMAZON", Amazon(httpx2.MockTransport(found)))
    return found


def _signed(message: str, version: str = "2", **changes: Any) -> dict[str, Any]:
    """Write a message of Amazon SNS; what is changed is signed, but for names in small letters."""
    given: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": str(uuid4()),
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": utc_now().strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
    } | changes
    order = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if given["Type"] != "Notification":
        order = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{given[name]}\n" for name in order if name in given)
    kind = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303
    given["Signature"] = b64encode(_KEY.sign(text.encode(), padding.PKCS1v15(), kind)).decode()
    return given


def _bounce(known: Sent, number: int = 0, changes: dict[str, str] | None = None) -> str:
    address = known.messages[number].recipients[0]
    bounced = {
        "emailAddress": address,
        "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
    } | (changes or {})
    return msgspec.json.encode(
        {
            "notificationType": "Bounce",
            "mail": {
                "source": known.messages[number].sender,
                "commonHeaders": {"messageId": known.head("Message-ID", number)},
            },
            "bounce": {"bounceType": "Permanent", "bouncedRecipients": [bounced]},
        }
    ).decode()


async def _address(database: Database, business: Business, provider: Provider) -> str:
    async with database.write(business.id) as db:
        topic = TOPIC if provider is Provider.ses else ""
        return f"/hooks/{provider}/{await make_webhook(db, make.SYSTEM, provider, topic)}"


async def _suppressed(database: Database, known: Sent, number: int = 0) -> tuple[Scope, Why] | None:
    async with database.read(known.business.id) as db:
        found = await mail.suppressed(db, known.hashed(database, number))
    return (found.scope, found.reason) if found else None


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_bounce_of_ses(
    database: Database, business: Business, web: Browser, amazon: _Amazon, version: str
) -> None:
    """Both versions of the signature; what Amazon posts again has no second effect."""
    known = await sent(database, business)
    path = await _address(database, business, Provider.ses)
    message = _signed(_bounce(known), version)

    answers = [await web.post(path, json=message) for _ in range(2)]

    assert [each.status_code for each in answers] == [204, 204]
    assert await _suppressed(database, known) == (Scope.all, Why.bounced)
    assert await known.kinds(database) == {"hard": 1}
    assert amazon.asked == [CERTIFICATE]


async def test_a_complaint_of_ses(
    database: Database, business: Business, web: Browser, amazon: _Amazon
) -> None:
    """It is the same objection as one by mail."""
    known = await sent(database, business)
    path = await _address(database, business, Provider.ses)
    said = {
        "eventType": "Complaint",
        "mail": {"source": known.messages[0].sender},
        "complaint": {
            "complaintFeedbackType": "abuse",
            "complainedRecipients": [{"emailAddress": known.messages[0].recipients[0]}],
        },
    }
    answer = await web.post(path, json=_signed(msgspec.json.encode(said).decode()))

    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (state,) = await consent.states(db, reader.id)
    assert answer.status_code == 204
    assert (state.status, state.method) == (Status.withdrawn, consent.Method.complaint)
    assert await _suppressed(database, known) == (Scope.marketing, Why.complained)
    assert amazon.asked


async def test_what_amazon_did_not_send_is_no_complaint(
    database: Database, business: Business, web: Browser, amazon: _Amazon
) -> None:
    """Her address is on the list of the account, for whatever reason: she said nothing to us."""
    known = await sent(database, business)
    path = await _address(database, business, Provider.ses)
    said = {
        "notificationType": "Complaint",
        "mail": {"source": known.messages[0].sender},
        "complaint": {
            "complaintSubType": "OnAccountSuppressionList",
            "complainedRecipients": [{"emailAddress": known.messages[0].recipients[0]}],
        },
    }
    answer = await web.post(path, json=_signed(msgspec.json.encode(said).decode()))

    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (state,) = await consent.states(db, reader.id)
    assert (answer.status_code, state.status) == (204, Status.given)
    assert await _suppressed(database, known) is None
    assert await known.kinds(database) == {"policy": 1}
    assert amazon.asked


async def test_ses_calls_a_block_permanent_too(
    database: Database, business: Business, web: Browser, amazon: _Amazon
) -> None:
    """What the server said decides: policy hurts nobody, nor does Amazon's own list."""
    known = await sent(database, business)
    path = await _address(database, business, Provider.ses)
    said = {"status": "5.7.1", "diagnosticCode": "smtp; 550 5.7.1 blocked using a list"}
    assert (await web.post(path, json=_signed(_bounce(known, 0, said)))).status_code == 204
    said = {"status": "2.0.0", "diagnosticCode": "smtp; 250 2.0.0 odd"}
    assert (await web.post(path, json=_signed(_bounce(known, 1, said)))).status_code == 204
    assert await _suppressed(database, known) is None
    assert await _suppressed(database, known, 1) is None
    assert amazon.asked


async def test_amazon_asks_whether_we_want_the_topic(
    database: Database, business: Business, web: Browser, amazon: _Amazon
) -> None:
    """Confirmed only by a signed message, at a host of Amazon's."""
    path = await _address(database, business, Provider.ses)
    asks = {"Type": "SubscriptionConfirmation", "Token": "t"}
    good = f"{HOST}/?Action=ConfirmSubscription&Token=t"
    for url in (
        "http://sns.eu-west-1.amazonaws.com/",
        "https://sns.evil.example/",
        "https://[",
        good,
    ):
        answer = await web.post(path, json=_signed("You", SubscribeURL=url, **asks))
        assert answer.status_code == (204 if url == good else 422)
    assert amazon.asked == [CERTIFICATE, good]


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ({"TopicArn": TOPIC + "2"}, {}),
        ({"Timestamp": "2020-01-01T00:00:00.000Z"}, {}),
        ({"Timestamp": "yesterday"}, {}),
        ({}, {"Message": "{}"}),
        ({}, {"Signature": "AAAA"}),
        ({}, {"Signature": "\u00e9"}),
        ({}, {"SignatureVersion": "3"}),
        ({"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem"}, {}),
        ({"SigningCertURL": "https://evil.example/a.pem"}, {}),
        ({"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/\u0301.pem"}, {}),
        ({"SigningCertURL": "https://x@sns.eu-west-1.amazonaws.com/a.pem"}, {}),
        ({"SigningCertURL": "https://sns.eu-west-1.amazonaws.com:99999999/a.pem"}, {}),
        ({"SigningCertURL": "https://sns.eu-west-1.amazonaws.com:8443/a.pem"}, {}),
        ({"SigningCertURL": f"{HOST}/upload"}, {}),
    ],
)
async def test_what_amazon_did_not_sign_is_refused(  # noqa: PLR0917
    database: Database,
    business: Business,
    web: Browser,
    amazon: _Amazon,
    changes: dict[str, Any],
    after: dict[str, Any],
) -> None:
    """It changes nothing, asks nobody else, and staff are told."""
    known = await sent(database, business)
    path = await _address(database, business, Provider.ses)

    answer = await web.post(path, json=_signed(_bounce(known), **changes) | after)

    assert answer.status_code == 422
    assert await _suppressed(database, known) is None
    assert set(amazon.asked) <= {CERTIFICATE}
    async with database.read(business.id) as db:
        assert (await webhooks(db))[Provider.ses].trouble


async def test_a_wrong_secret_is_no_address(
    database: Database, business: Business, other_business: Business, web: Browser
) -> None:
    """Nor is that of another provider or business, nor one that was made anew."""
    postmark = await _address(database, business, Provider.postmark)
    secret = postmark.rpartition("/")[2]
    former = await _address(database, other_business, Provider.postmark)
    await _address(database, other_business, Provider.postmark)
    for path in (
        f"{postmark[:-4]}AAAA",
        f"/hooks/ses/{secret}",
        "/hooks/postmark/x",
        "/hooks/postmark/%C3%A9",
        former,
    ):
        answer = await web.post(path, json={"RecordType": "Bounce"})
        assert answer.status_code == 404, path


_SAID = [
    ("", "", "hard", "soft"),
    ("The server refused this mail.", "", "hard", "soft"),
    ("There is no such user here", "", "hard", "soft"),
    ("smtp; 550 5.1.1 user unknown", "5.1.1", "hard", "soft"),
    ("The recipient's mailbox is full.", "", "soft", "soft"),
    ("smtp; 550 5.1.1 Account temporarily locked", "5.1.1", "soft", "soft"),
    ("Please send it later.", "", "soft", "soft"),
    ("smtp; 550 Requested action not taken", "", "soft", "soft"),
    ("", "5.0.0", "soft", "soft"),
    ("Rejected: listed on a blocklist (spam).", "", "policy", "policy"),
    ("smtp; 550 5.7.1 Access denied", "5.1.1", "policy", "policy"),
    ("The message is too large.", "", "content", "content"),
    ("Sender address rejected", "", "protocol", "protocol"),
]


@pytest.mark.parametrize(("said", "status", "permanent", "transient"), _SAID)
def test_what_a_provider_calls_permanent_is_so_where_nothing_says_otherwise(
    said: str, status: str, permanent: str, transient: str
) -> None:
    """By the words of the server first, with a number or without; never by its word alone."""
    for kind, verdict in (("Permanent", permanent), ("Transient", transient)):
        gone = {"emailAddress": "a@b.example", "status": status, "diagnosticCode": said}
        notice = {
            "notificationType": "Bounce",
            "mail": {},
            "bounce": {"bounceType": kind, "bouncedRecipients": [gone]},
        }
        message = sns_message(msgspec.json.encode(_signed(msgspec.json.encode(notice).decode())))
        (arrival,) = ses_arrivals(message)
        assert _verdict(arrival) == verdict, kind
    for kind, verdict in (("HardBounce", permanent), ("SoftBounce", transient)):
        if not status or status in said:
            bounce = {"RecordType": "Bounce", "Type": kind, "Email": "a@b.example", "Details": said}
            assert _verdict(postmark_arrival(msgspec.json.encode(bounce))) == verdict, kind


def _verdict(arrival: Arrival) -> str:
    assert isinstance(arrival.heard, Bounce)
    (failure,) = arrival.heard.failures
    assert "@" not in failure.text
    return failure.verdict
