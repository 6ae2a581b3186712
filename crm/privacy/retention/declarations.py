"""Until when everything is kept (promise 13): each table declared once, with what ends it.

The record of processing, the public privacy page, the console and `crm retention` are made of these
declarations, and tests/privacy/test_retention.py finds the table that has none.
"""

from __future__ import annotations

from crm import consent, events, mail, webhooks
from crm.access.model import ABSOLUTE, CHANGE_LASTS, LINK_LASTS, SIGNUP_LASTS, UNDO_LASTS
from crm.inbound.model import LETTERS_REST, REMEMBERED
from crm.languages import marked
from crm.privacy.brought.actions import BROUGHT_FOR
from crm.privacy.copies.model import KEPT
from crm.privacy.copies.model import REMEMBERED as REMEMBERED_COPY
from crm.privacy.erasure.certificate import CERTIFICATE_LASTS
from crm.privacy.requests.model import KEPT_YEARS
from crm.privacy.retention.besides import BESIDES
from crm.privacy.retention.declared import By, Declared
from crm.privacy.retention.lists import OF_LISTS

_SWEPT = "privacy.retain"

DECLARED: tuple[Declared, ...] = (
    Declared(
        name="customers",
        tables=("customer", "rhythm", "digest_choice", "restriction_end"),
        what=marked("Your record: address, name, language, and how often you want mail"),
        why=marked("To know whose decisions these are, and to write to you"),
        until=marked(
            "erasure; or %(number)s months in which you allow nothing and nothing is heard of you, "
            "and thirty days after a letter about it. An empty row stays, so that sums hold"
        ),
        never=marked("erasure; an empty row stays, so that sums hold"),
        setting="dormant_months",
        by=By.job,
        job="privacy.retire",
    ),
    Declared(
        name="attributes",
        tables=("attribute_value",),
        what=marked("Details of customers"),
        why=marked("For what each is declared for"),
        until=marked("the time declared for each is over"),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="attributes_of_purposes",
        tables=(),
        what=marked("Details that are for one purpose only"),
        why=marked("For that purpose"),
        until=marked("the day after the purpose has ended, for you or for everybody"),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="tags",
        tables=("customer_tag",),
        what=marked("Tags on customers"),
        why=marked("For what each is declared for"),
        until=marked(
            "the time declared for each is over, or the day after the purpose that it is for has "
            "ended, for you or for everybody"
        ),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="interactions",
        tables=("interaction",),
        what=marked("What happened between us: purchases, calls, notes, replies"),
        why=marked("For what each kind is declared for"),
        until=marked("the time declared for its kind is over"),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="consents",
        tables=("consent",),
        what=marked("What you allow, and what you do not"),
        why=marked("To keep to it"),
        until=marked("erasure"),
        by=By.erasure,
    ),
    Declared(
        name="consent_records",
        tables=("consent_record",),
        what=marked("Decisions and their evidence"),
        why=marked("To prove consent (Art. 7(1))"),
        until=marked(
            "the time that the purpose declares for its proof is over, counted from the end of the "
            "consent, or %(number)s years where it declares none; or erasure. That you said no "
            "stays until then"
        ),
        number=consent.PROOF_KEPT_YEARS,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="networks",
        tables=("consent_network",),
        what=marked("From where you decided: network addresses, encrypted"),
        why=marked("To prove consent (Art. 7(1)), where the business keeps them at all"),
        until=marked("the days set for the business"),
        by=By.job,
        job="consent.lapse",
    ),
    Declared(
        name="kept_proofs",
        tables=("kept_proof",),
        what=marked("Of who was deleted: for each purpose what was allowed, and how it ended"),
        why=marked(
            "To answer on which ground we wrote (Art. 17(3)(e)); found by the address or a "
            "receipt, and for nothing else"
        ),
        until=marked(
            "the time that the purpose declares for its proof is over, counted from the end of the "
            "consent, or %(number)s years where it declares none"
        ),
        number=consent.PROOF_KEPT_YEARS,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="mailbox_proofs",
        tables=("mailbox_proof",),
        what=marked("That your mailbox spoke for you, and when"),
        why=marked("Because a decision or a session rests on it"),
        until=marked("nothing rests on it any more, and %(number)s days"),
        number=consent.PROOF_RESTS.days,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="evidence_files",
        tables=("evidence_file",),
        what=marked("Files that show a decision, such as a photographed form"),
        why=marked("To prove consent (Art. 7(1))"),
        until=marked("the last yes of yours that is on record is gone"),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="sign_ups",
        tables=("signup",),
        what=marked("Sign-ups"),
        why=marked("To be confirmed by their mailbox"),
        until=marked("%(number)s days"),
        number=SIGNUP_LASTS.days,
        by=By.job,
        job="access.tidy",
    ),
    Declared(
        name="changes_of_address",
        tables=("address_change",),
        what=marked("Changes of address that are not confirmed"),
        why=marked("To ask the new mailbox"),
        until=marked("%(number)s minutes"),
        number=round(CHANGE_LASTS.total_seconds() / 60),
        by=By.job,
        job="access.tidy",
    ),
    Declared(
        name="former_addresses",
        tables=("former_address",),
        what=marked("Former addresses"),
        why=marked(
            "To undo a change; then as a fingerprint, so that links in old mails stop mails"
        ),
        until=marked("%(number)s days; the fingerprint until erasure"),
        number=UNDO_LASTS.days,
        by=By.job,
        job="access.tidy",
    ),
    Declared(
        name="certificates",
        tables=("erasure",),
        what=marked("Certificates of erasures, which name nobody"),
        why=marked("To show what was deleted"),
        until=marked("%(number)s days"),
        number=CERTIFICATE_LASTS.days,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="files_of_copies",
        tables=("copy_part",),
        what=marked("Copies of everything, encrypted"),
        why=marked("To hand them to whoever asked"),
        until=marked("%(number)s hours"),
        number=round(KEPT.total_seconds() / 3600),
        by=By.job,
        job="privacy.sweep",
    ),
    Declared(
        name="copies",
        tables=("copy",),
        what=marked("That there was a copy of everything, and who asked for it"),
        why=marked("To say who took one"),
        until=marked("%(number)s days"),
        number=REMEMBERED_COPY.days,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="brought",
        tables=("brought",),
        what=marked("What you had brought along from another business"),
        why=marked("So that you find it here"),
        until=marked("%(number)s days"),
        number=BROUGHT_FOR.days,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="wishes",
        tables=("erasure_wish",),
        what=marked("That you want everything deleted and may still call it off"),
        why=marked("To do it when the time that you chose is over"),
        until=marked("it is called off or done"),
        by=By.use,
    ),
    Declared(
        name="dormancy",
        tables=("dormancy",),
        what=marked("That you were told of the end of a quiet record"),
        why=marked("To leave you time to keep it"),
        until=marked("erasure; an empty row stays, so that sums hold"),
        by=By.erasure,
    ),
    Declared(
        name="ways_in",
        tables=("portal_link",),
        what=marked("Mailed ways in"),
        why=marked("To sign in without a password"),
        until=marked("%(number)s minutes"),
        number=round(LINK_LASTS.total_seconds() / 60),
        by=By.job,
        job="access.tidy",
    ),
    Declared(
        name="sessions",
        tables=("portal_session",),
        what=marked("Sessions"),
        why=marked("To stay signed in"),
        until=marked("%(number)s hours at most"),
        number=round(ABSOLUTE.total_seconds() / 3600),
        by=By.job,
        job="access.tidy",
    ),
    Declared(
        name="deliveries",
        tables=("delivery", "retry"),
        what=marked("Newsletters that went to you or left you out"),
        why=marked("To say what was sent, and on what ground"),
        until=marked("erasure; then as a count"),
        by=By.erasure,
    ),
    Declared(
        name="as_sent",
        tables=(),
        what=marked("What was filled in for you in a newsletter"),
        why=marked("So that you can read what you were sent"),
        until=marked("the days set for the business after it was sent, 90 at most"),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="letter_texts",
        tables=(),
        what=marked("Letters without their secrets"),
        why=marked("So that you can read what you were sent"),
        until=marked("the days set for the business after it was sent, 90 at most"),
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="letters",
        tables=("service_message",),
        what=marked("Mails that answer something you did, or are about a contract with you"),
        why=marked("To deliver them, and to show you that they went"),
        until=marked(
            "they are handed over; only that a mail was sent, and when, is kept for %(number)s days"
        ),
        number=mail.LETTERS_KEPT.days,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="events",
        tables=("event", "event_unread", "feed"),
        what=marked("Events"),
        why=marked("To say who did what with a record, and who looked"),
        until=marked("%(number)s years, or erasure"),
        number=events.KEPT.days // 365,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="posts",
        tables=("post", "post_try"),
        what=marked("What was told to other systems: that something happened, and to which number"),
        why=marked("So that a system that was away hears of it, and to show that it did"),
        until=marked("%(number)s days; of a withdrawal, as long as the event; or erasure"),
        number=webhooks.KEPT.days,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="requests",
        tables=("privacy_request", "privacy_request_step"),
        what=marked("Privacy requests and the log of each"),
        why=marked("To answer in time, and to show that it was done"),
        until=marked("%(number)s years after the answer; of who was erased without her data"),
        number=KEPT_YEARS,
        by=By.sweep,
        job=_SWEPT,
    ),
    Declared(
        name="suppressions",
        tables=("suppression",),
        what=marked("Fingerprints of addresses that must get no mail"),
        why=marked("To keep to a withdrawal, a bounce or an objection"),
        until=marked(
            "lifted by a new yes of the owner, or deleted with an erasure if she wants that"
        ),
        by=By.use,
    ),
    Declared(
        name="soft_bounces",
        tables=("soft_bounce",),
        what=marked("Mails that bounced softly, as a count"),
        why=marked("To know a dead address"),
        until=marked("a mail arrives, or %(number)s days"),
        number=REMEMBERED.days,
        by=By.job,
        job="inbound.tidy",
    ),
    Declared(
        name="reports",
        tables=("inbound_report",),
        what=marked("Reports of bounces and complaints, as a digest"),
        why=marked("So that each has its effect once"),
        until=marked("%(number)s days"),
        number=REMEMBERED.days,
        by=By.job,
        job="inbound.tidy",
    ),
    Declared(
        name="letters_in_mailboxes",
        tables=(),
        what=marked("Letters of people, as they came, where they are fetched from a mailbox"),
        why=marked("So that people can read what programs cannot, such as what was attached"),
        until=marked("%(number)s days"),
        number=LETTERS_REST.days,
        by=By.job,
        job="inbound.sweep",
    ),
    *OF_LISTS,
    Declared(
        name="answers",
        tables=("idempotency_key",),
        what=marked("Answers to programs, encrypted"),
        why=marked("So that a call repeated does nothing twice"),
        until=marked("%(number)s hours"),
        # As crm/web has it, which is none of a front door's business.
        number=24,
        by=By.job,
        job="web.tidy",
    ),
    Declared(
        name="reasons",
        tables=("look_reason",),
        what=marked("Reasons that staff gave for looking, a moment ago"),
        why=marked("To stand beside the look"),
        until=marked("a quarter of an hour"),
        by=By.job,
        job="staff.sweep",
    ),
    *BESIDES,
)
