"""What providers post about mail of ours, read into the same words as a mail that came back.

Amazon SES: the notifications of Amazon SNS, and their signatures (Amazon SNS Developer Guide,
"Verifying the signatures of Amazon SNS messages"; Amazon SES Developer Guide, "Contents of
notifications"). Postmark: the webhooks of its documentation for bounces, spam complaints and
changes of subscription.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct
from msgspec.structs import replace

from crm.characters import storable
from crm.inbound.heard import (
    AutoReply,
    Bounce,
    Complaint,
    Failure,
    Heard,
    Unreadable,
    Unsubscribe,
    Verdict,
)
from crm.inbound.judging import judge, silent
from crm.inbound.model import Arrival, NotAProvider, NotSigned, Vouched

# Only hosts that Amazon SNS answers on hold its certificates and confirmations.
_SNS_HOST = re.compile(r"sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
_OLDEST, _AHEAD = timedelta(days=1), timedelta(minutes=15)
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


class SnsMessage(Struct, frozen=True, rename="pascal"):
    """A message of Amazon SNS, as posted."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature_version: str
    signature: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    token: str | None = None
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)

    @property
    def confirms(self) -> bool:
        """Whether Amazon asks if this address wants the topic."""
        return self.type == "SubscriptionConfirmation"

    def signed(self) -> bytes:
        """Write what its signature is over: names and values by line, in this order."""
        names = _NOTIFICATION if self.type == "Notification" else _CONFIRMATION
        given = msgspec.to_builtins(self)
        lines = [f"{name}\n{given[name]}\n" for name in names if given.get(name) is not None]
        return "".join(lines).encode()


class _SesMail(Struct, frozen=True, rename="camel"):
    source: str = ""
    common_headers: dict[str, Any] = {}
    headers: list[dict[str, Any]] = []


class _SesNotice(Struct, frozen=True, rename="camel"):
    mail: _SesMail
    notification_type: str = ""
    event_type: str = ""
    bounce: dict[str, Any] = {}
    complaint: dict[str, Any] = {}
    delivery: dict[str, Any] = {}


class PostmarkReport(Struct, frozen=True, rename="pascal"):
    """What Postmark posts; only what is read of it."""

    record_type: str
    email: str = ""
    type: str = ""
    details: str = ""
    message_id: str | None = msgspec.field(name="MessageID", default=None)
    # Of a change of subscription: who asked Postmark to send no more, and why it does not.
    recipient: str = ""
    origin: str = ""
    suppress_sending: bool = False
    suppression_reason: str | None = None


def sns_message(body: bytes) -> SnsMessage:
    """Read what Amazon SNS posts, or refuse with NotAProvider."""
    try:
        return msgspec.json.decode(body, type=SnsMessage)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise NotAProvider from None


def amazon_url(url: str, *, pem: bool = False) -> str:
    """Return an address that may be asked: a host of Amazon SNS by https, or NotSigned."""
    # Amazon's are; of others `urlsplit` composes the host, which may take the square of its length.
    if not url.isascii():
        raise NotSigned
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotSigned from None
    plain = parts.scheme == "https" and port in (None, 443) and not parts.username
    if not plain or not _SNS_HOST.fullmatch(parts.hostname or ""):
        raise NotSigned
    if pem and (not parts.path.endswith(".pem") or parts.query):
        raise NotSigned
    return url


def check_signature(message: SnsMessage, topic: str, certificate: bytes, now: datetime) -> None:
    """Refuse with NotSigned what Amazon did not sign for this topic.

    The signature alone says only that some customer of Amazon has sent it.
    """
    algorithm = _HASHES.get(message.signature_version)
    if algorithm is None or message.topic_arn != topic or not _fresh(message.timestamp, now):
        raise NotSigned
    try:
        found = x509.load_pem_x509_certificate(certificate)
        key = found.public_key()
        signature = b64decode(message.signature, validate=True)
        if not isinstance(key, rsa.RSAPublicKey):
            raise NotSigned
        if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
            raise NotSigned
        key.verify(signature, message.signed(), padding.PKCS1v15(), algorithm)
    except (ValueError, binascii.Error, InvalidSignature):
        raise NotSigned from None


def _fresh(timestamp: str, now: datetime) -> bool:
    """Say whether it was written lately: Amazon gives up within an hour or a few."""
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return False
    return at.tzinfo is not None and now - _OLDEST <= at <= now + _AHEAD


def ses_arrivals(message: SnsMessage) -> list[Arrival]:
    """Read one report of Amazon SES: one for each recipient that it names."""
    try:
        notice = msgspec.json.decode(message.message, type=_SesNotice)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    kind = (notice.notification_type or notice.event_type).lower()
    message_id = str(notice.mail.common_headers.get("messageId") or _header(notice.mail))
    found: list[tuple[str, Heard]] = []
    if kind == "bounce":
        found = [_ses_bounce(notice.bounce, each) for each in _recipients(notice.bounce, "bounced")]
    elif kind == "complaint":
        told = notice.complaint
        found = [_ses_complaint(told, each) for each in _recipients(told, "complained")]
    elif kind == "delivery":
        taken = notice.delivery.get("recipients")
        found = [
            (str(each), Bounce((Failure(str(each), Verdict.delivered),)))
            for each in (taken if isinstance(taken, list) else [])
        ]
    return [
        Arrival(
            notice.mail.source,
            heard,
            _digest(message.message_id, address, kind),
            Vouched(message_id, address),
        )
        for address, heard in found
    ]


def postmark_arrival(body: bytes) -> Arrival:
    """Read one report of Postmark, or refuse with NotAProvider."""
    try:
        report = msgspec.json.decode(body, type=PostmarkReport)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise NotAProvider from None
    heard, address = _postmark_heard(report), report.email or report.recipient
    digest = hashlib.sha256(body).digest()
    if isinstance(heard, Complaint) and report.message_id:
        # Postmark tells it twice: as a complaint, and as a change of subscription.
        digest = _digest(report.message_id, address.lower(), "complaint")
    # Postmark returns mail to itself and names it by an id of its own: the address is all we get.
    return Arrival("", heard, digest, Vouched(address=address))


def _postmark_heard(report: PostmarkReport) -> Heard:
    if "SpamComplaint" in (report.record_type, report.type):
        return Complaint("abuse")
    if report.record_type == "SubscriptionChange":
        return _postmark_change(report)
    if report.record_type == "Bounce":
        return _postmark_bounce(report)
    if report.record_type == "Delivery":
        return Bounce((Failure("", Verdict.delivered),))
    return Unreadable("a kind of report that is not asked for")


def _postmark_change(report: PostmarkReport) -> Heard:
    """Take for a wish or an objection only what the recipient did herself.

    Postmark names the recipient as the origin of a hard bounce too. Of that the report of the
    bounce says more, such as what the server answered, so that it alone is heard.
    """
    if report.suppress_sending and report.origin == "Recipient":
        if report.suppression_reason == "ManualSuppression":
            return Unsubscribe("mailto")
        if report.suppression_reason == "SpamComplaint":
            return Complaint("abuse")
    return Unreadable("a change of subscription that the recipient has not asked for")


def _ses_bounce(bounce: dict[str, Any], each: dict[str, Any]) -> tuple[str, Heard]:
    address = str(each.get("emailAddress", ""))
    permanent = bounce.get("bounceType") == "Permanent"
    # On Amazon's own list: it did not try. That list holds addresses which bounced hard elsewhere.
    listed = bounce.get("bounceSubType") in ("Suppressed", "OnAccountSuppressionList")
    status = _STATUS.search(str(each.get("status") or ""))
    said = str(each.get("diagnosticCode") or "")
    failure = _failure(
        said, address, status[0] if status else "", permanent=permanent and not listed
    )
    return address, Bounce((failure,))


def _ses_complaint(complaint: dict[str, Any], each: dict[str, Any]) -> tuple[str, Heard]:
    address = str(each.get("emailAddress", ""))
    # On the list of the account at Amazon: nothing was sent, so nobody can complain of it.
    if complaint.get("complaintSubType") == "OnAccountSuppressionList":
        return address, Bounce((Failure("", Verdict.policy),))
    said = str(complaint.get("complaintFeedbackType") or "abuse")
    return address, Complaint(storable(said.lower()))


_POSTMARK_HARD = {"HardBounce", "BadEmailAddress"}
_POSTMARK_POLICY = {"SpamNotification", "Blocked", "DMARCPolicy", "ManuallyDeactivated"}
# Postmark calls answers bounces as well; what they answer has arrived.
_POSTMARK_ANSWERS = {"AutoResponder", "ChallengeVerification", "AddressChange", "Subscribe"}


def _postmark_bounce(report: PostmarkReport) -> Bounce | AutoReply:
    if report.type in _POSTMARK_ANSWERS:
        return AutoReply("postmark")
    if report.type in _POSTMARK_POLICY:
        return Bounce((Failure(report.email, Verdict.policy),))
    hard = report.type in _POSTMARK_HARD
    return Bounce((_failure(report.details, report.email, permanent=hard),))


def _failure(said: str, address: str, status: str = "", *, permanent: bool) -> Failure:
    """Judge what the server said as in a mail that came back; the provider's word only softens.

    A provider calls a block of ours permanent as well, so it takes both to call an address dead.
    """
    found = judge(address, said, status)
    if permanent and silent(found, said):
        # Nothing was said: the provider's word is all there is.
        return replace(found, verdict=Verdict.hard)
    softens = found.verdict is Verdict.hard and not permanent
    if softens or found.verdict is Verdict.unknown:
        return replace(found, verdict=Verdict.soft)
    return found


def _recipients(report: dict[str, Any], which: str) -> list[dict[str, Any]]:
    found = report.get(f"{which}Recipients")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _header(mail: _SesMail) -> str:
    for each in mail.headers:
        if str(each.get("name", "")).lower() == "message-id":
            return str(each.get("value", ""))
    return ""


def _digest(message_id: str, address: str, kind: str) -> bytes:
    # Amazon delivers at least once; each notice has its own id.
    return hashlib.sha256(f"{message_id}\0{address}\0{kind}".encode()).digest()
