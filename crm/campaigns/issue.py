"""All that is the same for every delivery of a campaign, and one customer's message from it."""

from __future__ import annotations

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

    def parcel(self, waiting: Waiting, at: datetime) -> Parcel:
        """Write one customer's message; a ValueError where a value or her address forbids it."""
        claimed, recipient = waiting.claimed, waiting.recipient
        values = values_of(claimed.name, claimed.address, waiting.values)
        slots = self.envelope.slots(recipient, claimed.address_hash)
        content = (self.asking if claimed.asked else self.compiled).bytes_for(values, slots)
        return Parcel(
            claimed.customer_id,
            self.envelope.sender(claimed.address_hash),
            recipient,
            self.signer.signed(content, at, tidy=True) if self.signer else content,
            smtputf8=needs_smtputf8(recipient),
            envelope_id=self.envelope.envelope_id(claimed.address_hash),
            sound=True,
        )
