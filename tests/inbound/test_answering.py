"""Answers: machines are not listened to, a bare wish to leave is one, the rest is kept."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from crm.inbound.heard import Attachment, AutoReply, Reply, Unreadable, Unsubscribe
from crm.inbound.reading import read
from tests.inbound.corpus import fixture


def answer(text: str, subject: str = "Re: Our letter", **headers: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = "Nora <nora@example.com>"
    mail["Subject"] = subject
    mail["Message-ID"] = "<r1@example.com>"
    mail["In-Reply-To"] = "<m1@a.example>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes()


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied (vacation)"},
        {"Auto_Submitted": "auto-generated"},
        {"X_Autoreply": "yes"},
        {"X_Autorespond": "Our letter"},
        {"Precedence": "auto_reply"},
        {"Return_Path": "<>"},
        {"Precedence": "bulk", "subject": "Out of Office: Our letter"},
        {"X_Auto_Response_Suppress": "All", "subject": "Automatische Antwort: Our letter"},
        {"X_Auto_Response_Suppress": "All", "subject": "Réponse automatique : Our letter"},
    ],
)
def test_a_machine_is_known_by_its_headers(headers: dict[str, str]) -> None:
    found = read(answer("unsubscribe", **headers))
    assert isinstance(found, AutoReply)
    assert found.in_reply_to == "<m1@a.example>"


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "no"},
        {"subject": "Out of office"},  # may be what she writes about
        {"Precedence": "bulk"},
        {"X_Auto_Response_Suppress": "All"},
    ],
)
def test_one_weak_sign_makes_no_machine(headers: dict[str, str]) -> None:
    assert isinstance(read(answer("I shall be away in May.", **headers)), Reply)


@pytest.mark.parametrize("name", ["rfc3834-01", "rfc3834-03", "rfc3834-04"])
def test_real_machines(name: str) -> None:
    assert isinstance(read(fixture(name)), AutoReply)


def test_a_read_receipt_is_a_machines() -> None:
    raw = (
        b"Subject: Read: x\nContent-Type: multipart/report; boundary=b;\n"
        b" report-type=disposition-notification\n\n--b\n\nIt was displayed.\n--b\n"
        b"Content-Type: message/disposition-notification\n\n"
        b"Final-Recipient: rfc822;n@example.com\nDisposition: manual-action; displayed\n--b--\n"
    )
    assert read(raw) == AutoReply("disposition-notification")


LEAVING = [
    "unsubscribe", "UNSUBSCRIBE!!", "Please unsubscribe me.", "Please, unsubscribe. Thanks",
    "STOP", "stop", "remove me from this list please", "Abmelden", "Bitte abmelden, danke!",
    "Ich möchte mich vom Newsletter abmelden.", "Désabonner", "Bonjour,\nmerci de me désabonner",
    "Merci de me desinscrire. Cordialement", "Darme de baja", "Por favor, darme de baja", "BAJA",
    "Cancellami", "Cancellatemi per favore", "uitschrijven", "Graag afmelden", "Cancelar inscrição",
    "descadastrar", "Wypisz mnie", "proszę o wypisanie", "إلغاء الاشتراك", "أرجو إلغاء الاشتراك.",
    "Avsluta prenumeration", "Отписаться", "配信停止",
    "Unsubscribe\n\nNora Ek",
    "Hello,\n\nunsubscribe me please\n\nBest regards\n\nNora",
    "Unsubscribe\n\n-- \nNora Ek\nBaker, Lake Street 4\nStop by any time!",
    "Unsubscribe\n\nSent from my iPhone",
    "abmelden\n\nVon meinem iPhone gesendet",
    "stop\n\nOn 3 May 2031, at 10:00, Bakery <letter@a.example> wrote:\n\n> Fresh bread\n> today",
    "stop\n\nAm Mo., 3. Mai 2031 um 10:00 Uhr schrieb Bäckerei\n<letter@a.example>:\n\n> Brot",
    "stop\n\nLe 3 mai 2031 à 10:00, Bakery <l@a.example> a écrit :\n> Pain",
    "Stop\n\n-----Original Message-----\nFrom: Bakery\nSent: Monday\nSubject: Bread\n\nToday",
    "Stop\n\nVon: Bakery <l@a.example>\nGesendet: Montag\nAn: Nora\nBetreff: Brot\n\nHeute Brot",
    "> Fresh bread today\n\nunsubscribe",
]  # fmt: skip


@pytest.mark.parametrize("text", LEAVING)
def test_nothing_but_a_wish_to_leave(text: str) -> None:
    assert read(answer(text)) == Unsubscribe(
        "reply", "<r1@example.com>", "<m1@a.example>", "nora@example.com"
    )


STAYING = [
    "How do I unsubscribe my mother? She cannot do it herself.",
    "Don't unsubscribe me!",
    "I do not want to unsubscribe.",
    "Please do not stop.",
    "I pressed unsubscribe yesterday by mistake, please put me back.",
    "Stop the presses, this was great.",
    "Wo kann ich mich abmelden?",
    "Bitte nicht abmelden!",
    "Unsubscribe\nwas what I meant to press, but I stay.",
    "No quiero darme de baja",
    "Thanks!",
    "Thanks!\n\nOn 3 May 2031, Bakery <l@a.example> wrote:\n> unsubscribe",
    "Lovely bread.\n\n-- \nNora\nunsubscribe",
    "",
]


@pytest.mark.parametrize("text", STAYING)
def test_the_word_among_others_is_no_wish(text: str) -> None:
    assert isinstance(read(answer(text)), Reply)


def test_a_subject_alone_may_be_the_wish() -> None:
    assert isinstance(read(answer("", subject="Unsubscribe")), Unsubscribe)
    assert isinstance(read(answer("", subject="Re: Unsubscribe")), Reply)
    assert isinstance(read(answer("A question", subject="Unsubscribe")), Reply)


def test_the_address_for_leaving_decides_unless_a_server_reports() -> None:
    found = read(answer("anything", Auto_Submitted="auto-generated"), to_leave=True)
    assert isinstance(found, Unsubscribe)
    assert found.by == "mailto"
    assert not isinstance(read(fixture("lhost-postfix-02"), to_leave=True), Unsubscribe)
    assert not isinstance(read(fixture("arf-12"), to_leave=True), Unsubscribe)


@pytest.mark.parametrize("raw", [b"\r\n", b"X: " + b"x" * 300_000], ids=["empty", "too much"])
def test_the_address_for_leaving_decides_where_nothing_can_be_made_of_the_mail(raw: bytes) -> None:
    assert isinstance(read(raw), Unreadable)
    assert read(raw, to_leave=True) == Unsubscribe("mailto")


def test_what_a_person_wrote_is_kept_without_what_she_quoted() -> None:
    mail = EmailMessage()
    mail["From"] = "=?utf-8?q?N=C3=B6ra?= <nora@example.com>"
    mail["Subject"] = "Re: Frisches Brot für Nöra"
    mail["Date"] = "Mon, 03 May 2031 10:00:00 +0200"
    mail["Message-ID"] = "<r1@example.com>"
    mail["In-Reply-To"] = "<m2@a.example>"
    mail["References"] = "<m1@a.example> <m2@a.example>"
    text = "Schön!\n\n> Wann?\n\nMorgen.\n\nAm 3. Mai 2031 schrieb Bakery:\n> Frisches Brot\n"
    mail.set_content(text + "\n-- \nNöra Ek\n")
    mail.add_alternative("<p>never shown</p>", subtype="html")
    mail.add_attachment(b"12345", maintype="image", subtype="png", filename="../brot.png")
    assert read(mail.as_bytes()) == Reply(
        subject="Re: Frisches Brot für Nöra",
        text="Schön!\n\n> Wann?\n\nMorgen.",
        message_id="<r1@example.com>",
        in_reply_to="<m2@a.example>",
        references=("<m1@a.example>", "<m2@a.example>"),
        sender="nora@example.com",
        at=datetime(2031, 5, 3, 8, tzinfo=UTC),
        attachments=(Attachment("brot.png", "image/png", 5),),
    )


def test_html_alone_is_read_as_text() -> None:
    mail = EmailMessage()
    mail["Subject"] = "Re: Our letter"
    mail.set_content(
        "<style>p{}</style><div>Yes &amp; gladly<br>tomorrow</div>"
        "<div class='gmail_quote'><div>On Monday B wrote:</div><blockquote>old</blockquote></div>",
        subtype="html",
    )
    found = read(mail.as_bytes())
    assert isinstance(found, Reply)
    assert found.text.split() == ["Yes", "&", "gladly", "tomorrow"]
    assert "old" not in found.text


def test_a_mail_that_is_neither_stays_a_mail() -> None:
    found = read(fixture("is-not-bounce-01"))
    assert isinstance(found, Reply)
    assert found.subject == "にゃんこ"
    assert found.text == "にゃーーーーーーーーーーー"
