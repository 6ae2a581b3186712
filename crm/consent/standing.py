"""Where a customer stands for one purpose: the state, the words it rests on, and how it came."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.consent.grounds import EvidenceKind
from crm.consent.model import (
    Consent,
    ConsentEvent,
    ConsentTold,
    Notice,
    OptIn,
    Purpose,
)
from crm.consent.states import OPTED_OUT, Basis


class Told(Struct, frozen=True):
    """One decision with the exact text it was about; none where nothing was shown."""

    event: ConsentEvent
    notice: Notice | None


class Standing(Struct, frozen=True):
    """One purpose for one customer; `shown` is the text of the state, `current` the one to ask.

    There is none to ask with for a soft opt-in: that begins at a sale, and no press can start it.
    """

    purpose: Purpose
    consent: Consent | None
    on: bool
    shown: Notice | None
    current: Notice | None
    # Whether it is time to say it again: it ends soon, or rests on a version that is replaced.
    due: bool
    history: list[Told]
    # Whether mail is sent on what is on: nothing is on a sale where the settings do not let it.
    allows: bool

    @property
    def opted_out(self) -> bool:
        """Whether only the customer's own word can start it again."""
        return self.consent is not None and self.consent.status in OPTED_OUT

    @property
    def words(self) -> Notice | None:
        """The text to show beside the control: what she agreed to, or what she would agree to."""
        return self.shown if self.on else self.current

    def accepts(self, kind: EvidenceKind) -> bool:
        """Say whether the text in use now accepts such evidence from elsewhere."""
        return self.current is not None and kind in self.current.accepts


class Silence(Struct, frozen=True):
    """That nothing is sent to her address, whatever is on: since when, and the reason's name."""

    reason: str
    at: datetime

    @property
    def by_itself(self) -> bool:
        """Say that nobody asked for it: a mail came back."""
        return self.reason == "bounced"

    def answered(self, proof: OptIn | None) -> bool:
        """Say whether her mailbox has proved itself since."""
        return proof is not None and proof.confirmed_at > self.at


def arranged(
    held: ConsentTold, current: dict[UUID, Notice], now: datetime, *, soft_opt_in: bool
) -> list[Standing]:
    """Put what belongs to one purpose together, in the order of the purposes and the events.

    `soft_opt_in` says whether the business lets anything rest on a sale.
    """
    state_of = {each.purpose_id: each for each in held.consents}
    notice_of = {each.id: each for each in held.notices}
    standings = []
    for purpose in held.purposes:
        state = state_of.get(purpose.id)
        history = [
            Told(event, notice_of.get(event.notice_id) if event.notice_id else None)
            for event in held.events
            if event.purpose_id == purpose.id
        ]
        on = state is not None and state.authorises(now)
        shown = notice_of.get(state.notice_id) if state and state.notice_id else None
        askable = purpose.retired_at is None and purpose.basis is not Basis.soft_opt_in
        asked = current.get(purpose.id) if askable else None
        standings.append(
            Standing(
                purpose,
                state,
                on,
                shown,
                asked,
                state is not None and state.asked_again(now),
                history,
                state is not None and state.allows(now, soft_opt_in=soft_opt_in),
            )
        )
    return standings
