"""What counts as an address, how two are compared, and what a refusal says."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from crm.customers import address
from crm.customers.address import NotAnAddress, fold, in_letters, masked, parse
from crm.errors import Invalid

SHARED = Path(__file__).resolve().parents[3] / "shared/data/addresses"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/addresses")


def accepted(text: str) -> bool:
    try:
        parse(text)
    except NotAnAddress:
        return False
    return True


def test_it_works() -> None:
    found = parse("  Jane.Doe+News@Example.COM\n")
    assert found.display == "Jane.Doe+News@Example.COM"
    assert found.folded == "jane.doe+news@example.com"
    assert found.domain == "example.com"
    assert found.deliverable == "Jane.Doe+News@example.com"
    assert not found.needs_smtputf8


def test_international_domain_is_compared_and_delivered_in_ascii() -> None:
    found = parse("Jane@Bücher.Example.com")
    assert found.folded == "jane@xn--bcher-kva.example.com"
    assert found.deliverable == "Jane@xn--bcher-kva.example.com"
    assert found.folded == fold("JANE@XN--BCHER-KVA.example.com")
    assert not found.needs_smtputf8


def test_international_local_part_needs_smtputf8() -> None:
    found = parse("Jo\u0308rg@example.com")
    assert found.folded == "jörg@example.com"
    assert found.needs_smtputf8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jane.doe@example.com", "janedoe@example.com"),
        ("jane+news@example.com", "jane@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("a@fass.example.com", "a@faß.example.com"),
    ],
)
def test_what_only_the_receiver_may_merge_stays_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com",
        "O'Brien@example.org",
        "!#$%&'*+-/=?^_`{|}~@example.com",
        "x" * 64 + "@example.com",
        "\ufeffa@example.com\u200b",
        "伊昭傑@例え.example.net",
        "a@sub.sub.example.co.uk",
    ],
)
def test_accepted(text: str) -> None:
    assert accepted(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing"),
        ("   ", "missing"),
        ("jane.example.com", "@ missing"),
        ("a@@example.com", "more than one @"),
        ("a@b@example.com", "more than one @"),
        ("@example.com", "nothing before"),
        ("jane@", "nothing after"),
        ("Jane <jane@example.com>", "without angle brackets"),
        ("ja ne@example.com", "blank"),
        ("jane@example,com", "comma"),
        ("a@example.com;b@example.com", "comma, colon or semicolon"),
        ('"jane doe"@example.com', "Quotation"),
        ("jane(work)@example.com", "Quotation"),
        ("jane@[192.0.2.1]", "network number"),
        (".jane@example.com", "before the @ begins"),
        ("ja..ne@example.com", "two dots"),
        ("jane@example..com", "after the @"),
        ("jane@example.com.", "after the @"),
        ("jane@localhost", "no ending"),
        ("jane@printer.local", "reserved"),
        ("jane@example.test", "reserved"),
        ("x" * 65 + "@example.com", "64 bytes"),
        ("ü" * 33 + "@example.com", "64 bytes"),
        ("Ⱥ" * 30 + "@example.com", "64 bytes"),
        ("x" * 60 + "@" + ("y" * 60 + ".") * 3 + "example.com", "254 bytes"),
        ("x" * 300, "254"),
        ("jane@example.com\r\nBcc: all@example.com", "line break"),
        ("ja\0ne@example.com", "cannot be seen"),
        ("\ud800@example.com", "cannot be seen"),
        ("jane@exa_mple.com", "not allowed"),
        ("jane@-example.com", "not allowed"),
        ("jane@192.0.2.1", "not allowed"),
        ("jane@ab--cd.com", "not allowed"),
    ],
)
def test_refusal_names_the_fault(text: str, says: str) -> None:
    with pytest.raises(NotAnAddress) as refusal:
        parse(text)
    assert says in refusal.value.message
    assert isinstance(refusal.value, Invalid)
    assert "jane" not in refusal.value.message, "what was typed must not reach a log"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Jane@example.com", "J•••@example.com"),
        ("j@example.com", "•••@example.com"),
        ("+x@example.com", "•••@example.com"),
        ("no address", "•••"),
        ("", "•••"),
    ],
)
def test_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


LETTERS = st.sampled_from("abzAZ09._+-@!'/=\u00e4\u00df\u0130\u1e9e\u03c2\u03a3\u0301xn日\ufb01K")


@given(
    st.one_of(
        st.text(),
        st.builds("{}@{}".format, st.text(), st.text()),
        st.builds("{}@{}.com".format, st.text(LETTERS, min_size=1), st.text(LETTERS, min_size=1)),
        st.emails(),
    )
)
@example("İ@example.com")
@example("a@xn--a.com")
@example("a@xn--.com")
@example("a@" + "a" * 64 + ".com")
def test_any_text_is_refused_or_folds_to_itself(text: str) -> None:
    masked(text)
    try:
        found = parse(text)
    except NotAnAddress:
        return
    again = parse(found.folded)
    assert again.folded == found.folded == again.display
    assert parse(found.display) == found
    assert fold(found.deliverable) == found.folded
    assert found.domain.isascii()
    assert not set('\r\n\0 ,<>"') & set(found.display)
    found.deliverable.encode()


PLAIN = st.text(st.sampled_from("abyzABYZ0189._+-"), max_size=70)


@given(
    PLAIN,
    st.text(st.sampled_from("abxnABZ019.-"), max_size=70),
    st.sampled_from(
        ["com", "ORG", "c", "c0m", "123", "test", "Local", "co.uk", "xn--p1ai", "arpa", ""]
    ),
)
def test_the_fast_path_accepts_only_what_the_careful_one_accepts(
    local: str, name: str, ending: str
) -> None:
    text = f"{local}@{name}.{ending}"
    if len(text) > address.ADDRESS_LIMIT or not address._PLAIN.match(text):  # noqa: SLF001
        return
    checked = validate_email(text, check_deliverability=False, strict=True)
    fast = parse(text)
    assert (fast.local, fast.domain) == (checked.local_part, (checked.ascii_domain or "").lower())
    assert fast == address._parse_with_care(text)  # noqa: SLF001


def test_the_fast_path_takes_the_ordinary() -> None:
    for text in ("jane@example.com", "Jane.Doe+x_y-z9@mail-1.Example.co.uk"):
        assert address._PLAIN.match(text)  # noqa: SLF001


@shared
def test_cases_of_email_validator() -> None:
    lines = (SHARED / "email-validator-cases.jsonl").read_text("utf-8").splitlines()
    for line in lines:
        case = json.loads(line)
        text, kind = case["address"], case["kind"]
        if kind in ("valid", "valid-eai"):
            found = parse(text)
            assert found.domain == case["ascii_domain"].lower(), text
            assert found.needs_smtputf8 == case["smtputf8"], text
        else:
            # Quoted strings and literals are legal and refused: nobody has such an address.
            assert not accepted(text) or text != text.strip(), text


@shared
@pytest.mark.parametrize("name", ["isemail-tests.xml", "isemail-tests-original.xml"])
def test_cases_of_isemail(name: str) -> None:
    tests = ET.parse(SHARED / name).getroot().findall("test")  # noqa: S314
    assert len(tests) > 100
    for case in tests:
        text = "".join(
            chr(ord(letter) - 0x2400) if 0x2400 <= ord(letter) < 0x2421 else letter
            for letter in case.findtext("address") or ""
        )
        invalid = (case.findtext("category") or "") == "ISEMAIL_ERR"
        invalid = invalid or case.findtext("valid") == "false"
        if not accepted(text):
            continue
        assert not invalid or text.strip() != text, text
        validate_email(text.strip(), check_deliverability=False)


# What the grammar allows and we refuse, by what the refusal says; nobody has such an address.
REFUSED = {
    "Quotation": "quoted parts, and comments",
    "network number": "a network address in brackets",
    "blank": "blanks beside the dots and the @",
    "line break": "folded lines, and characters that cannot be seen",
    "no ending": "a name of one's own network, or of a whole ending",
    "64 bytes": "more than mail servers must take before the @",
    "254": "more than mail servers must take in all",
    "not allowed": "a network number without brackets, or an ending with a digit",
}
# Of the plain ones only these.
PLAIN_REFUSED = {
    "test@io": "no ending",
    "test@123.123.123.x123": "not allowed",
    "test@xn--example.com": "not allowed",
}


@shared
def test_what_isemail_allows_and_we_refuse_has_its_reason() -> None:
    plain: dict[str, str] = {}
    for name in ("isemail-tests.xml", "isemail-tests-original.xml"):
        for case in ET.parse(SHARED / name).getroot().findall("test"):  # noqa: S314
            category = case.findtext("category")
            text = case.findtext("address") or ""
            if category == "ISEMAIL_ERR" or accepted(text):
                continue
            with pytest.raises(NotAnAddress) as refusal:
                parse(text)
            said = [word for word in REFUSED if word in refusal.value.message]
            assert said, (text, refusal.value.message)
            if category in {"ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN"}:
                plain[text] = said[0]
    # The fourth is as long as can be, and ends in a digit too.
    [long] = plain.keys() - PLAIN_REFUSED.keys()
    assert {text: said for text, said in plain.items() if text != long} == PLAIN_REFUSED
    assert (long[-3:], plain[long]) == (".x2", "not allowed")


def test_own_twins_of_isemail() -> None:
    """Syntax the standard allows and nobody uses is refused; what is wrong is refused too."""
    for text in ("a@b", "test@io", '""@example.com', "a@[::1]", "(c)a@example.com", "a@b.c-", "@"):
        assert not accepted(text)
        with pytest.raises(EmailNotValidError):
            validate_email(text, check_deliverability=False)
    assert accepted("test@iana.org")
    assert not accepted("a@xn--iñvalid.com")


@pytest.mark.parametrize(
    ("domain", "shown"),
    [
        ("xn--strae-oqa.de", "straße.de"),
        ("xn--mnchen-3ya.de", "münchen.de"),
        ("example.com", "example.com"),
        ("xn--a.de", "xn--a.de"),
        ("xn--zzz-.de", "xn--zzz-.de"),
    ],
)
def test_domains_in_letters(domain: str, shown: str) -> None:
    assert in_letters(domain) == shown
