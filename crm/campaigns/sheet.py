"""The sheet that a draft is written on: what is typed as a draft, and a draft as what is typed."""

from __future__ import annotations

from uuid import UUID

from crm import campaigns, consent, segments
from crm.campaigns import Campaign, NewCampaign, Newsletter, poll
from crm.campaigns.model import LONGEST_HOURS, Course
from crm.db import ReadDb
from crm.errors import Invalid
from crm.web.forms import Form

_FORMATS = ("markdown", "html")


async def taken(form: Form) -> Newsletter | None:
    """Lay an uploaded newsletter over what was typed; its warnings are the reader's."""
    upload = form.file("file", required=False)
    if upload is None or not upload.filename:
        return None
    try:
        found = campaigns.read_newsletter(await upload.read(), upload.filename)
    except Invalid as refusal:
        form.wrong("file", refusal.message)
        return None
    form.values |= {
        "subject": [found.subject],
        "preheader": [found.preheader[:300]],
        "source": [found.source],
        "format": [found.kind],
    }
    return found


async def read(db: ReadDb, form: Form) -> NewCampaign | None:
    """Read a draft, or None where the form has problems."""
    known = [str(each.id) for each in await consent.purposes(db)]
    form.choice("purpose_id", known)
    known = [str(each.id) for each in await segments.segments(db)]
    form.choice("segment_id", known, required=False)
    form.choice("format", _FORMATS)
    form.text("subject", required=False, max=300)
    form.text("preheader", required=False, max=300)
    form.text("source", required=False, max=1_000_000, lines=True)
    expires_hours(form)
    try:
        poll.checked(*_asked(form))
    except Invalid as refusal:
        form.take(refusal)
    return None if form.problems else typed(form)


def typed(form: Form) -> NewCampaign:
    """Take what is typed as a draft, where `read` has found no problem in it."""
    question, answers = _asked(form)
    return NewCampaign(
        purpose_id=UUID(form.typed("purpose_id")),
        subject=form.text("subject", required=False, max=300),
        preheader=form.text("preheader", required=False, max=300),
        source=form.text("source", required=False, max=1_000_000, lines=True),
        format="html" if form.typed("format") == "html" else "markdown",
        question=question,
        answers=answers,
        public=form.boolean("public"),
        segment_id=UUID(form.typed("segment_id")) if form.typed("segment_id") else None,
    )


def _asked(form: Form) -> tuple[str, list[str]]:
    question = form.text("question", required=False, max=300)
    return question, form.text("answers", required=False, max=600, lines=True).splitlines()


def expires_hours(form: Form) -> int | None:
    """Read after how many hours it is given up; None is the installation's rule."""
    return form.integer("expires_hours", required=False, min=1, max=LONGEST_HOURS)


def filled(campaign: Campaign, course: Course) -> Form:
    """Show a draft in the form."""
    return Form.of(
        purpose_id=str(campaign.purpose_id),
        subject=campaign.subject,
        preheader=campaign.preheader,
        source=campaign.source,
        format=campaign.format,
        question=campaign.question,
        answers="\n".join(campaign.answers),
        public="on" if campaign.public else "",
        segment_id=str(campaign.segment_id or ""),
        version=str(campaign.version),
        expires_hours=str(course.expires_hours or ""),
    )
