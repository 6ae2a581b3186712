"""All that is the same for every delivery of a campaign, and the customers' messages from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from crm.businesses import Business
from crm.campaigns.composing import Envelope, values_of
from crm.campaigns.hand import Waiting
from crm.campaigns.model import Campaign
from crm.campaigns.render import Compiled
from crm.mail.dkim import Signer
from crm.mail.mime import needs_smtputf8
from crm.mail.wire import Parcel


class Issue(Struct, frozen=True):
    """All that is the same for every delivery of a campaign."""

    business: Business
    campaign: Campaign
    compiled: Compiled
    # The same with the question whether a consent that ends soon goes on.
    asking: Compiled
    envelope: Envelope
    # Its own expiry; None takes the installation's.
    expires_hours: int | None = None
    # Signs each message; None where the relay does.
    signer: Signer | None = None

    @property
    def kept(self) -> dict[str, Any]:
        """Say what of a customer is kept with her delivery: what the text asks for, or nothing."""
        own, attributes = self.compiled.own_values, self.compiled.attributes
        keeps = self.business.mail_days > 0 and bool(own or attributes)
        return {"keeps": keeps, "own": own, "attributes": attributes}

    def write(self, line: Sequence[Waiting], at: datetime) -> int:
        """Write the mails of these, sign them side by side, and return how many bytes they have.

        A ValueError where a value or an address of one forbids it.
        """
        contents = [self._content(waiting) for waiting in line]
        if self.signer:
            contents = self.signer.signed_each(contents, at, tidy=True)
        for waiting, content in zip(line, contents, strict=True):
            waiting.parcel = self._parcel(waiting, content)
        return sum(map(len, contents))

    def _content(self, waiting: Waiting) -> bytes:
        claimed = waiting.claimed
        values = values_of(claimed.name, claimed.address, waiting.values)
        slots = self.envelope.slots(waiting.recipient, claimed.address_hash)
        return (self.asking if claimed.asked else self.compiled).bytes_for(values, slots)

    def _parcel(self, waiting: Waiting, content: bytes) -> Parcel:
        claimed, recipient = waiting.claimed, waiting.recipient
        return Parcel(
            claimed.customer_id,
            self.envelope.sender(claimed.address_hash),
            recipient,
            content,
            smtputf8=needs_smtputf8(recipient),
            envelope_id=self.envelope.envelope_id(claimed.address_hash),
            sound=True,
        )
