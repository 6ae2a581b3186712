"""A domain that mail is sent from: its keys, what its DNS has to say, and what was found there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from crm.errors import Conflict, Invalid

# A host name in ASCII (RFC 1123 §2.1).
HostName = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(?!\n)$",
    ),
]
# Mail is tried for five days (RFC 5321 §4.5.4.1), and looked at some time after it has arrived.
OVERLAP = timedelta(days=7)
# A look at DNS says so long that campaigns may start.
HOLDS = timedelta(days=7)
# One string of a TXT record (RFC 1035 §3.3.14).
_STRING = 255


class NoDomain(Invalid):
    """This is no domain; one looks like bakery.example."""


class KeysWait(Conflict):
    """New keys wait already; publish their records, check, and they sign."""


class NothingToRetire(Conflict):
    """No keys stepped back a week ago or more; mail that they signed may still be on its way."""


class DomainNotReady(Conflict):
    """The DNS of the sender's domain was not found to be right; check it first."""


class Severity(StrEnum):
    """Whether a finding keeps campaigns from starting."""

    blocks = "blocks"
    advice = "advice"


class About(StrEnum):
    """What a finding is about."""

    dkim = "DKIM"
    spf = "SPF"
    dmarc = "DMARC"
    mail = "MX"
    returning = "return path"
    relay = "relay"
    strict_transport = "MTA-STS"
    tls_reports = "TLS-RPT"
    dns = "DNS"


class Record(Struct, frozen=True):
    """A DNS record as it has to be published, its value unquoted and in one piece."""

    name: str
    type: str
    value: str

    @property
    def strings(self) -> tuple[str, ...]:
        """The value in strings of at most 255 octets, as a TXT record holds it."""
        return strings_of(self.value) if self.type == "TXT" else (self.value,)

    @property
    def shown(self) -> str:
        """The value as a zone file has it (RFC 1035 §5.1)."""
        if self.type != "TXT":
            return self.value
        return " ".join('"' + each.replace('"', '\\"') + '"' for each in self.strings)


class Finding(Struct, frozen=True):
    """Something that DNS says and should not, or the reverse; and what to publish where known."""

    severity: Severity
    about: About
    text: str
    record: Record | None = None


class KeyState(StrEnum):
    """Where a key is on its way."""

    waiting = "waiting"
    signing = "signing"
    retiring = "retiring"
    retired = "retired"


class DkimKey(Struct, frozen=True):
    """A key without its secret."""

    domain: str
    selector: str
    algorithm: str
    published: str
    state: KeyState
    made_at: datetime
    signing_at: datetime | None
    retiring_at: datetime | None
    retired_at: datetime | None

    @property
    def record(self) -> Record:
        """What DNS has to say; of a retired key, that it counts no more (RFC 6376 §3.6.1)."""
        value = "v=DKIM1; p=" if self.state is KeyState.retired else self.published
        return Record(f"{self.selector}._domainkey.{self.domain}", "TXT", value)


class SendingDomain(Struct, frozen=True):
    """A domain that mail is sent from, and the last look at its DNS."""

    domain: str
    added_at: datetime
    checked_at: datetime | None
    findings: tuple[Finding, ...]
    relay_signs_by: str
    relay_signs_at: datetime | None

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """What has to be put right before a campaign starts."""
        return tuple(each for each in self.findings if each.severity is Severity.blocks)

    @property
    def as_answered(self) -> SendingDomain:
        """The same without what DNS did not answer, which says nothing of what its records are."""
        findings = tuple(each for each in self.findings if each.about is not About.dns)
        return replace(self, findings=findings)


def strings_of(value: str) -> tuple[str, ...]:
    """Cut a value of a TXT record into strings of at most 255 octets; it is ASCII."""
    return tuple(value[at : at + _STRING] for at in range(0, len(value), _STRING)) or ("",)


def why_not(name: str, domain: SendingDomain | None, now: datetime) -> str:
    """Say why no campaign may start that comes from this domain; nothing where it may."""
    if domain is not None and domain.relay_signs_at is not None:
        return ""
    if domain is None:
        return f"{name} is not among your sending domains. Add it there, and publish its records."
    if domain.checked_at is None:
        return f"The DNS of {name} was never checked. Check it first; it takes a few seconds."
    if now - domain.checked_at > HOLDS:
        day = f"{domain.checked_at:%Y-%m-%d}"
        return f"The DNS of {name} was last checked on {day}. Check it again before you send."
    return _blocked(name, domain.blocking)


def _blocked(name: str, blocking: Sequence[Finding]) -> str:
    if not blocking:
        return ""
    more = f" And {len(blocking) - 1} more." if len(blocking) > 1 else ""
    return f"The DNS of {name} is not ready: {blocking[0].text}{more}"
