"""People who do not exist, from everywhere, as an export in Mailchimp's format."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TextIO

from msgspec import Struct

_TITLES = (
    "Email Address,First Name,Last Name,Company,Position,ZIP Code,MEMBER_RATING,OPTIN_TIME,"
    "OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,"
    "LAST_CHANGED,UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,"
    "UNSUB_REASON_OTHER,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID,NOTES,TAGS"
)
HEADER = tuple(_TITLES.split(","))

# Given name, family name, and how the person writes them in an address.
_NAMES = (
    ("Zoë", "Müller-Lüdenscheidt", "zoe", "mueller"),
    ("Łukasz", "Wiśniewski", "lukasz", "wisniewski"),
    ("Siân", "O’Brien", "sian", "obrien"),
    ("José María", "García Núñez", "josemaria", "garcia"),
    ("Žofie", "Dvořáková", "zofie", "dvorakova"),
    ("Þórunn", "Sigurðardóttir", "thorunn", "sigurdardottir"),
    ("Søren", "Ægidius", "soren", "aegidius"),
    ("Gülşah", "Işık", "gulsah", "isik"),
    ("İbrahim", "Çağlayan", "ibrahim", "caglayan"),
    ("Nguyễn Thị", "Hương Giang", "nguyen", "huonggiang"),
    ("Phạm Văn", "Đức", "pham", "duc"),
    ("Ștefan", "Bălănescu", "stefan", "balanescu"),
    ("Õnne", "Tõnisson", "onne", "tonisson"),
    ("Kőszegi", "Ágnes", "koszegi", "agnes"),
    ("Ольга", "Щербакова", "olga", "shcherbakova"),
    ("Їжакевич", "Ганна", "hanna", "yizhakevych"),
    ("Ђорђе", "Љубичић", "djordje", "ljubicic"),
    ("Αλέξανδρος", "Παπαδόπουλος", "alexandros", "papadopoulos"),
    ("Ελένη", "Μαυρίδου", "eleni", "mavridou"),
    ("فاطمة", "الزهراء", "fatima", "alzahra"),
    ("محمد", "بن سلمان", "mohammed", "bensalman"),
    ("زهرا", "حسینی", "zahra", "hosseini"),
    ("נועה", "בן־דוד", "noa", "bendavid"),
    ("अनन्या", "श्रीवास्तव", "ananya", "shrivastava"),
    ("தமிழ்ச்செல்வி", "", "tamilselvi", "madurai"),
    ("ศิริพร", "จันทร์แก้ว", "siriporn", "chankaew"),
    ("ნინო", "ბერიძე", "nino", "beridze"),
    ("Անահիտ", "Պետրոսյան", "anahit", "petrosyan"),
    ("さくら", "小林", "sakura", "kobayashi"),
    ("太郎", "𠮷田", "taro", "yoshida"),
    ("지은", "김", "jieun", "kim"),
    ("小明", "王", "xiaoming", "wang"),
    ("雅婷", "陳", "yating", "chen"),
    ("Tekle", "አበበ", "tekle", "abebe"),
    ("Ngozi", "Okonjọ", "ngozi", "okonjo"),
    ("Keoni", "Kaʻahumanu", "keoni", "kaahumanu"),
    ("Sukarno", "", "sukarno", "jakarta"),
    ("Jean-Luc", "d’Artagnan, fils", "jeanluc", "dartagnan"),
    ('Anna "Annie"', "Smith", "annie", "smith"),
    ("Null", "Test", "null", "test"),
)
_DOMAINS = ("example.com", "example.net", "example.org") * 6 + (
    "bücher.example.com",
    "пример.example.org",
    "例え.example.net",
    "παράδειγμα.example.com",
)
_COMPANIES = ("", "", "", "Bäckerei Nord", "Café “Zur Linde”", "Kooperative Süd, e. G.")
_TAGS = ("", "", '"Readers"', '"Readers","Members of the co-op"')
_BEGAN = datetime(2019, 3, 1, 8, tzinfo=UTC)

# Of a hundred customers; who is left has confirmed.
_UNSUBSCRIBED, _CLEANED, _UNPROVEN, _UNCONFIRMED = 5, 3, 4, 1
_FEW = 10  # below so many customers the small groups may be empty


class Expected(Struct, frozen=True):
    """What an import of the file must come to, counted while writing and not by the importer.

    The first five add up to `customers`: `single_opt_in` signed up and never confirmed, `unproven`
    has no time at all. `rejected` and `repeated` count rows.
    """

    mailable: int
    left: int
    bounced: int
    unproven: int
    single_opt_in: int
    rejected: int
    repeated: int
    customers: int
    rows: int


def write_export(target: Path | TextIO, *, customers: int, seed: int) -> Expected:
    """Write an export with this many customers; the same seed gives the same bytes."""
    chance = Random(seed)
    groups = _groups(customers)
    rows = [
        _customer(chance, number, group)
        for number, group in enumerate(
            group for group, count in groups.items() for _ in range(count)
        )
    ]
    doubles = _doubles(rows, customers)
    broken = [_broken(number) for number in range(_share(customers, 1))]
    lines = [*rows, *doubles, *broken]
    chance.shuffle(lines)
    if isinstance(target, Path):
        with target.open("w", encoding="utf-8", newline="") as file:
            _write(file, lines)
    else:
        _write(target, lines)
    return Expected(
        **groups,
        rejected=len(broken),
        repeated=len(doubles),
        customers=customers,
        rows=len(lines),
    )


def _groups(customers: int) -> dict[str, int]:
    small = {
        "left": _share(customers, _UNSUBSCRIBED),
        "bounced": _share(customers, _CLEANED),
        "unproven": _share(customers, _UNPROVEN),
        "single_opt_in": _share(customers, _UNCONFIRMED),
    }
    return {"mailable": customers - sum(small.values()), **small}


def _share(customers: int, percent: int) -> int:
    return max(1, customers * percent // 100) if customers >= _FEW else 0


def _customer(chance: Random, number: int, group: str) -> list[str]:
    """One row; the number in the address keeps it unique among all."""
    given, family, first, last = chance.choice(_NAMES)
    asked = _BEGAN + timedelta(seconds=chance.randrange(6 * 365 * 86_400))
    confirmed = asked + timedelta(seconds=chance.randrange(40, 2 * 86_400))
    gone = confirmed + timedelta(days=chance.randrange(1, 200))
    row = dict.fromkeys(HEADER, "") | {
        "Email Address": f"{first}.{last}{number}@{chance.choice(_DOMAINS)}",
        "First Name": given,
        "Last Name": family,
        "Company": chance.choice(_COMPANIES),
        "MEMBER_RATING": str(chance.randrange(1, 6)),
        "LAST_CHANGED": _time(gone),
        "LEID": str(100_000 + number),
        "EUID": f"{chance.getrandbits(40):010x}",
        "TAGS": chance.choice(_TAGS),
    }
    if group != "unproven":
        row |= {"OPTIN_TIME": _time(asked), "OPTIN_IP": _address_of_machine(chance)}
    if group not in ("unproven", "single_opt_in"):
        row |= {"CONFIRM_TIME": _time(confirmed), "CONFIRM_IP": row["OPTIN_IP"]}
    if group == "left":
        row |= {"UNSUB_TIME": _time(gone), "UNSUB_REASON": "NORMAL"}
    if group == "bounced":
        row["CLEAN_TIME"] = _time(gone)
    return [row[name] for name in HEADER]


def _doubles(rows: list[list[str]], customers: int) -> list[list[str]]:
    """Rows that say the opposite of another: some who left stand again, in capitals, as subscribed.

    As many who confirmed stand again without any proof. Neither may change what they are.
    """
    at = {name: HEADER.index(name) for name in HEADER}
    left = [row for row in rows if row[at["UNSUB_TIME"]]]
    confirmed = [
        row
        for row in rows
        if row[at["CONFIRM_TIME"]] and not row[at["UNSUB_TIME"]] and not row[at["CLEAN_TIME"]]
    ]
    doubles = []
    for row in left[: _share(customers, 1)]:
        double = list(row)
        double[at["Email Address"]] = row[at["Email Address"]].upper()
        double[at["UNSUB_TIME"]] = double[at["UNSUB_REASON"]] = ""
        doubles.append(double)
    for row in confirmed[: _share(customers, 1)]:
        double = list(row)
        for name in ("OPTIN_TIME", "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP"):
            double[at[name]] = ""
        doubles.append(double)
    return doubles


def _broken(number: int) -> list[str]:
    """A row nobody can take in: no address, a malformed one, too many cells, or too few."""
    address = f"broken{number}@example.com"
    return (
        [f"broken{number}.example.com", *[""] * (len(HEADER) - 1)],
        [address, "Anna", "Kowalska", *[""] * len(HEADER), "one cell too many"],
        [f"broken {number}@example.com", *[""] * (len(HEADER) - 1)],
        ["", "Somebody", "Unknown", *[""] * (len(HEADER) - 3)],
        [address, "Cut", "Off"],
        [f"broken{number}@@example.com", *[""] * (len(HEADER) - 1)],
    )[number % 6]


def _address_of_machine(chance: Random) -> str:
    # RFC 5737: networks for documentation.
    return f"{chance.choice(('192.0.2', '198.51.100', '203.0.113'))}.{chance.randrange(1, 255)}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _write(file: TextIO, lines: list[list[str]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(lines)
