"""What an SMTP reply means for one message: RFC 5321 §4.2, enhanced codes RFC 3463 and 7505."""

import re
from enum import StrEnum

from msgspec import Struct

# Enough to understand a refusal, too little to hold a message quoted back at us.
TEXT_LIMIT = 200

DONE, GO_ON, LATER, NEVER = 2, 3, 4, 5  # first digits, RFC 5321 §4.2.1
SEND_CONTENT = 354
CLOSING = 421
_MAILBOX_UNAVAILABLE = 550


class Kind(StrEnum):
    """What became of one message."""

    sent = "sent"
    later = "later"
    failed = "failed"
    uncertain = "uncertain"


class Whose(StrEnum):
    """Who has to change something before this can work."""

    nobody = "nobody"
    recipient = "recipient"
    policy = "policy"
    content = "content"
    protocol = "protocol"
    relay = "relay"
    ours = "ours"


class Step(StrEnum):
    """The part of a session that a reply answers."""

    connect = "connect"
    sign_in = "sign_in"
    reset = "reset"
    mail = "mail"
    rcpt = "rcpt"
    data = "data"
    content = "content"
    discard = "discard"
    quit = "quit"


class Outcome(Struct, frozen=True):
    """One message, one verdict; `hard`: the address itself takes no mail and may be suppressed."""

    kind: Kind
    reason: str
    whose: Whose = Whose.nobody
    code: int = 0
    enhanced: str = ""
    text: str = ""
    hard: bool = False


class Reply(Struct, frozen=True):
    """One reply of the server, its lines joined."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        """The command was done (2yz)."""
        return self.first == DONE

    @property
    def first(self) -> int:
        """The digit that decides, also where the rest of the code is unknown."""
        return self.code // 100


class _Meaning(Struct, frozen=True):
    reason: str
    whose: Whose
    hard: bool = False
    soft: bool = False  # a 5yz that still means "later"


_GONE = Whose.recipient
_TOO_MANY = _Meaning("too_many_recipients", Whose.relay, soft=True)
_POLICY = _Meaning("policy", Whose.policy)
_TOO_LARGE = _Meaning("too_large", Whose.content)
_PROTOCOL = _Meaning("protocol", Whose.protocol)
_NO_MAILBOX = _Meaning("no_such_mailbox", _GONE, hard=True)
_NO_DOMAIN = _Meaning("no_such_domain", _GONE, hard=True)
_SENDER = _Meaning("sender_refused", Whose.ours)
_NO_UTF8 = _Meaning("needs_smtputf8", Whose.ours)
_SIGN_IN = _Meaning("sign_in_refused", Whose.ours)
_FULL = _Meaning("mailbox_full", _GONE)
_UNSIGNED = _Meaning("dkim_refused", Whose.policy)
_NOT_LISTED = _Meaning("spf_refused", Whose.policy)

# Subject and detail of the enhanced code; its class only repeats the first digit of the reply.
# A key without detail stands for all others of its subject.
_BY_STATUS = {
    "1": _Meaning("address_refused", _GONE),
    "1.1": _NO_MAILBOX,
    "1.2": _NO_DOMAIN,
    "1.3": _Meaning("bad_address", _GONE, hard=True),
    "1.6": _Meaning("moved", _GONE, hard=True),
    "1.7": _SENDER,
    "1.8": _SENDER,
    "1.10": _Meaning("no_mail_domain", _GONE, hard=True),  # null MX, RFC 7505
    "2": _Meaning("mailbox_refused", _GONE),
    "2.1": _Meaning("mailbox_disabled", _GONE, hard=True),
    "2.2": _FULL,
    "2.3": _TOO_LARGE,
    "3": _Meaning("relay_trouble", Whose.relay),
    "3.4": _TOO_LARGE,
    "4": _Meaning("network", Whose.relay),
    "4.7": _Meaning("expired", Whose.relay),
    "4.4": _Meaning("no_route", _GONE, hard=True),
    "5": _PROTOCOL,
    "5.3": _TOO_MANY,
    "6": _Meaning("content_refused", Whose.content),
    "6.7": _NO_UTF8,
    "6.9": _NO_UTF8,
    "7": _POLICY,
    "7.8": _SIGN_IN,
    "7.9": _SIGN_IN,
    "7.10": _Meaning("tls_required", Whose.ours),
    "7.11": _SIGN_IN,
    "7.12": _SIGN_IN,
    "7.13": _SIGN_IN,  # RFC 5248: the account that signed in, not that of the recipient
    "7.20": _UNSIGNED,
    "7.21": _UNSIGNED,
    "7.22": _UNSIGNED,
    "7.23": _NOT_LISTED,
    "7.24": _NOT_LISTED,
    "7.25": _Meaning("reverse_dns", Whose.policy),
    "7.26": _Meaning("unauthenticated", Whose.policy),  # RFC 7372
    "7.27": _SENDER,  # null MX of our own domain, RFC 7505
    "7.28": _Meaning("too_much_mail", Whose.policy),
}

# Without an enhanced code. A step narrows a code; 0 stands for every step.
_BY_CODE: dict[tuple[Step | None, int], _Meaning] = {
    (None, CLOSING): _Meaning("closing", Whose.relay),
    (Step.rcpt, 452): _TOO_MANY,
    (Step.rcpt, 552): _TOO_MANY,  # RFC 5321 §4.5.3.1.10: to be read as 452
    (Step.rcpt, 550): _Meaning("address_refused", _GONE),
    (Step.rcpt, 551): _Meaning("moved", _GONE),
    (Step.rcpt, 553): _Meaning("address_refused", _GONE),
    (Step.rcpt, 450): _Meaning("mailbox_busy", _GONE),
    (Step.rcpt, 556): _Meaning("no_mail_domain", _GONE, hard=True),  # RFC 7504
    (Step.content, 552): _TOO_LARGE,
    (Step.mail, 552): _TOO_LARGE,
    (Step.mail, 550): _SENDER,
    (Step.mail, 553): _SENDER,
    (None, 432): _SIGN_IN,
    (None, 521): _Meaning("accepts_no_mail", Whose.relay),  # RFC 7504
    (None, 530): _SIGN_IN,
    (None, 534): _SIGN_IN,
    (None, 535): _SIGN_IN,
    (None, 538): _SIGN_IN,
    (None, 550): _POLICY,
    (None, 554): _POLICY,
    (None, 555): _PROTOCOL,
}

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$|[:;,-])")
_UNKNOWN = re.compile(
    r"user (is )?unknown|unknown (user|recipient|address|mailbox)|no such (user|mailbox|recipient|"
    r"address|person)|(mailbox|user|recipient|address|account) (was |is |has been )?"
    r"(not found|unknown|disabled|deactivated|deleted|invalid)|does(n't| not) exist|"
    r"invalid (recipient|mailbox|user)|not a valid (mailbox|recipient|user)|no mailbox here",
    re.IGNORECASE,
)
_OVERFULL = re.compile(
    r"(mailbox|inbox|quota|storage)( \w+)? (is |was )?(full|exceeded)|over ?quota|"
    r"exceed(ed|s)? (storage allocation|(his |her |the )?(quota|mailbox))",
    re.IGNORECASE,
)
_DISTRUST = re.compile(
    r"spam|block(ed|list)|black ?list|dnsbl|\brbl\b|reputation|polic(y|ies)|\bspf\b|\bdkim\b|"
    r"dmarc|rate.?limit|too many (connections|messages)|gr[ea]y.?list",
    re.IGNORECASE,
)
# Every shape in which servers quote an address: <a@b>, "a b"@c, a@b, a%40b, a=40b.
_ADDRESS = re.compile(
    r'<[^<>]*(?:@|%40|=40|&#64;)[^<>]*>|"[^"]*"@\S+|[^\s<>"(),;:\[\]]*(?:@|%40|=40|&#64;)[^\s<>,;()]*',
    re.IGNORECASE,
)


def verdict(step: Step, reply: Reply, recipient: str = "") -> Outcome:
    """The verdict on a message from the reply that decided it; what the reply quotes is removed."""
    enhanced, text = _split(reply.text)
    text = clean(text, recipient)
    if reply.positive and step is Step.content:
        return Outcome(Kind.sent, "accepted", Whose.nobody, reply.code, enhanced, text)
    if reply.first not in (LATER, NEVER):
        return garbled(content_left=step is Step.content, code=reply.code)
    meaning = _meaning(step, reply.code, enhanced, reply.text)
    kind = Kind.later if reply.first == LATER or meaning.soft else Kind.failed
    return Outcome(
        kind, meaning.reason, meaning.whose, reply.code, enhanced, text,
        hard=meaning.hard and kind is Kind.failed,
    )  # fmt: skip


def lost(*, content_left: bool, timeout: bool = False) -> Outcome:
    """The connection ended without an answer; only what has left whole can have arrived."""
    reason = "no_answer" if timeout else "connection_lost"
    return Outcome(Kind.uncertain if content_left else Kind.later, reason, Whose.relay)


def garbled(*, content_left: bool, code: int = 0) -> Outcome:
    """The server said something that is no reply to what it was asked."""
    kind = Kind.uncertain if content_left else Kind.later
    return Outcome(kind, "not_smtp", Whose.protocol, code)


def refused_here(reason: str, whose: Whose) -> Outcome:
    """A message that this relay cannot take as it is, decided before a byte was written."""
    return Outcome(Kind.failed, reason, whose)


def unreachable(reason: str, whose: Whose = Whose.relay, code: int = 0, text: str = "") -> Outcome:
    """No session could be opened; nothing was tried for any message."""
    return Outcome(Kind.later, reason, whose, code, text=clean(text))


def clean(text: str, recipient: str = "") -> str:
    """The text of a reply without any address, shortened: replies echo addresses, logs must not."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    local = recipient.rpartition("@")[0].strip('"')
    if len(local) > 1 and local.casefold() in text.casefold():
        text = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return _ADDRESS.sub("…", text)[:TEXT_LIMIT]


def _split(text: str) -> tuple[str, str]:
    found = _ENHANCED.match(text)
    if found is None:
        return "", text
    return ".".join(found.groups()), text[found.end() :].lstrip(" :;,-")


def _meaning(step: Step, code: int, enhanced: str, text: str) -> _Meaning:
    if code == CLOSING:
        return _BY_CODE[None, CLOSING]
    meaning = _by_status(enhanced) or _by_code(step, code, text)
    if meaning.whose is not Whose.recipient:
        return meaning
    if step in (Step.mail, Step.connect, Step.sign_in):
        return _SENDER  # nobody has been named yet but ourselves
    if step not in (Step.rcpt, Step.content):
        return _PROTOCOL
    # "550 5.1.1 blocked, bad reputation" exists; a person must not lose an address by it.
    return _POLICY if meaning.hard and _DISTRUST.search(text) else meaning


def _by_status(enhanced: str) -> _Meaning | None:
    _, _, status = enhanced.partition(".")
    return _BY_STATUS.get(status) or _BY_STATUS.get(status.partition(".")[0])


def _by_code(step: Step, code: int, text: str) -> _Meaning:
    if _DISTRUST.search(text):
        return _POLICY
    if step is Step.rcpt and code == _MAILBOX_UNAVAILABLE and _UNKNOWN.search(text):
        return _NO_MAILBOX
    if step in (Step.rcpt, Step.content) and _OVERFULL.search(text):
        return _FULL
    named = _BY_CODE.get((step, code)) or _BY_CODE.get((None, code))
    if named is not None:
        return named
    return _Meaning("try_again", Whose.relay) if code // 100 == LATER else _PROTOCOL
