"""The linter on final bytes: every trick is found, and what is harmless is let pass."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from time import process_time

import pytest

from crm.campaigns import tracker
from crm.campaigns.lint import Allowed, Rendered, lint
from crm.campaigns.reader import Part
from crm.campaigns.reference import of_part
from crm.campaigns.source import read_newsletter
from crm.campaigns.wrongs import codes
from tests.campaigns.mails import ORIGIN, SHARED, composed, html_mail, rendered, slots
from tests.campaigns.tricks import HARMLESS, TRICKS

OWN = tracker.load()
ALLOWED = Allowed(ORIGIN, frozenset({"pictures.example"}))
TRACKING = SHARED / "tracking"
needs_shared = pytest.mark.skipif(not TRACKING.exists(), reason="the tracked mails are not here")
LISTS = (
    "easyprivacy_general_emailtrackers.txt",
    "leavemealone-email-trackers.txt",
    "ddg-url-parameters-config.json",
)


@pytest.mark.parametrize(("code", "html"), TRICKS)
def test_a_trick_is_found_where_it_stands(code: str, html: str) -> None:
    found = lint([Rendered(html_mail(f"<p>One</p>\n<p>Two</p>\n{html}"))], ALLOWED, OWN)
    hit = [each for each in found if each.code == code]

    assert hit, [each.code for each in found]
    assert hit[0].line >= 3
    assert hit[0].blocking == (code not in {"short-link", "passed-on"})
    assert hit[0].text


@pytest.mark.parametrize("html", HARMLESS)
def test_what_is_harmless_passes(html: str) -> None:
    assert lint([Rendered(html_mail(html))], ALLOWED, OWN) == ()


def test_what_comments_and_styles_hide_is_read_in_linear_time() -> None:
    def spent(times: int) -> float:
        kept = "--a:'b'[c='d'];" * times + "image-set(" * times + " --" * times + "url(" * times
        hidden = "<!-- " + "<!--[if mso]><i>" * times + "-->" + "<!--->" * times
        values = f"<p title='{'</a><b>' * times}'>"
        raw = "<style></b><title></i>" * times + "<p" + " a" + " " * times + "=" + " " * times
        style = "image-set('//a.example/1') \\" + "(" * times + '"' * times
        began = process_time()
        of_html = Part(
            "text/html",
            (),
            f"{hidden}{values}<style>{style}</style><style>{kept}</style>{raw}".encode(),
        )
        assert list(of_part(of_html))
        return process_time() - began

    spent(100)
    assert spent(20_000) < 40 * max(spent(2_000), 0.001)


def test_a_spacer_is_no_pixel_and_still_refused() -> None:
    html = '<img src="https://pictures.example/s.gif" width="1" height="9">' * 3
    found = lint([Rendered(html_mail(html))], ALLOWED, OWN)

    assert {each.code for each in found} == {"spacer"}
    assert all(each.blocking for each in found)


@pytest.mark.parametrize("url", ["http://[bad", "https://a\u2100.example/x.gif"])
def test_an_address_that_cannot_be_read_is_no_trackers(url: str) -> None:
    assert OWN.tracker(url, image=True) == OWN.parameter(url) == ""


def test_amp_and_receipts_are_refused() -> None:
    raw = (
        b"Disposition-Notification-To: <a@b.example>\n"
        b'Content-Type: multipart/alternative; boundary="b"\n\n'
        b"--b\nContent-Type: text/x-amp-html\n\n<html amp4email>\n"
        b"--b\nContent-Type: text/plain\n\nHi, see https://a.example/?gclid=1.\n--b--\n"
    )
    found = {each.code: each for each in lint([Rendered(raw)], ALLOWED, OWN)}

    assert set(found) == {"amp", "read-receipt", "parameter"}
    assert found["parameter"].text == "https://a.example/?gclid=1"


def test_what_we_compose_differs_in_our_links_only() -> None:
    message = composed("Hi {{ name }},\n\n[Rye](https://rye.example/) for {{ address }}.\n")

    assert lint(rendered(message), ALLOWED, OWN) == ()


def test_an_address_of_ones_own_is_found_whatever_made_it() -> None:
    """A link, a picture, a header, or one more of something for one of three."""
    first, second, third = rendered(composed("[Rye](https://rye.example/aaaa)"))
    link = third.raw.replace(b"rye.example/aaaa", b"rye.example/aaab")
    more = third.raw.replace(b"</body>", b'<img src=3D"https://pictures.example/n.png"></body>')
    head = b"X-Reader: 3\r\n" + third.raw

    for raw, codes_found in (
        (link, {"per-reader"}),
        (more, {"per-reader"}),
        (head, {"per-reader-header"}),
    ):
        found = lint([first, second, Rendered(raw, third.own, third.address)], ALLOWED, OWN)
        assert {each.code for each in found} == codes_found


def test_a_page_without_scheme_is_the_same_for_all() -> None:
    """What a value comes to with the words around it; whom to write to is no page."""
    for source, codes_found in (
        ("See shop.example/v/{{ first_name }} now.", {"per-reader"}),
        ("See {{ first_name }}.shop.example/v now.", {"per-reader"}),
        ("See shop.example#{{ address }} now.", {"per-reader"}),
        ("See shop.example/v, {{ first_name }} ({{ address }}).", set()),
    ):
        found = lint(rendered(composed(source)), ALLOWED, OWN)
        assert {each.code for each in found} == codes_found, source


def test_another_way_to_stop_than_ours_is_refused() -> None:
    first, second, _ = rendered(composed("Rye"))
    raw = first.raw.replace(slots(0).unsubscribe.encode(), b"https://esp.example/u/1", 1)
    found = lint([Rendered(raw, first.own, first.address), second], ALLOWED, OWN)

    assert "list-unsubscribe" in {each.code for each in found}


def test_lists_are_read_by_their_public_formats(tmp_path: Path) -> None:
    """One of each format; a file that is no list is named."""
    (tmp_path / "a.txt").write_text(
        "! EasyList\n||adblock.example^$image\n/sees/*/you.gif\n@@||good.example/sees/\n"
        "||shop.example^$removeparam=who\nexample.com##img[width='1']\n"
    )
    (tmp_path / "hosts.txt").write_text("# hosts\n0.0.0.0 hosts.example\n")
    (tmp_path / "disconnect.json").write_text(
        json.dumps({"categories": {"Email": [{"S": {"https://s.example/": ["disc.example"]}}]}})
    )
    (tmp_path / "radar.json").write_text(
        json.dumps({"domain": "radar.example", "resources": [{"rule": "cdn\\.example\\/beat"}]})
    )
    (tmp_path / "clear.json").write_text(
        json.dumps({"providers": {"g": {"urlPattern": ".*", "rules": ["clr_[a-z]+"]}}})
    )
    lists = tracker.load(str(tmp_path))

    for url in (
        "https://x.adblock.example/1",
        "https://any.example/sees/me/you.gif",
        "https://a.hosts.example/",
        "https://disc.example/",
        "https://radar.example/",
        "https://cdn.example/beat",
    ):
        assert lists.tracker(url, image=True), url
    assert not lists.tracker("https://good.example/sees/me/you.gif", image=True)
    assert not lists.tracker("https://disc.example/about", image=False)
    assert lists.parameter("https://shop.example/?who=1") == "who"
    assert lists.parameter("https://other.example/?who=1") == ""
    assert lists.parameter("https://other.example/?clr_id=1") == "clr_id"
    assert lists.digest != OWN.digest
    (tmp_path / "z.json").write_text('{"a": 1}')
    with pytest.raises(tracker.BadLists, match=r"z\.json"):
        tracker.load(str(tmp_path))


def test_the_docs_name_every_code() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "no-tracking.md").read_text()
    docs = docs.partition("\n## Lists")[0]

    assert set(re.findall(r"^\| `([a-z-]+)` \|", docs, re.MULTILINE)) == set(codes())


def _lists(tmp_path: Path) -> tracker.Lists:
    for name in LISTS:
        (tmp_path / name).write_bytes((TRACKING / "lists" / name).read_bytes())
    return tracker.load(str(tmp_path))


@needs_shared
def test_every_tracked_mail_is_refused_and_no_clean_one(tmp_path: Path) -> None:
    """By what its description says is in it."""
    expected = {
        "homedepot-promo.html": {"pixel": 7, "redirector": 78, "address-in-url": 1},
        "planet-fitness-promo.html": {"pixel": 2, "spacer": 6, "redirector": 18, "stylesheet": 2},
        "xamarin-marketo.html": {"pixel": 1, "address-in-url": 1},
        "postal-sparkpost-promo.eml": {"pixel": 4, "redirector": 11},
        "nylas-campaign-monitor.html": {"pixel": 1},
        "linkedin-digest.html": {"pixel": 1, "parameter": 33},
        "google-play-no-extensions.html": {"pixel": 1, "tracker": 19},
        "clean-papercut.html": {},
        "clean-blocked.html": {},
    }
    files = [*(TRACKING / "html").iterdir(), *(TRACKING / "eml").iterdir()]
    for lists in (OWN, _lists(tmp_path)):
        for path in files:
            raw = path.read_bytes()
            raw = raw if path.suffix == ".eml" else b"Content-Type: text/html\n\n" + raw
            found = Counter(each.code for each in lint([Rendered(raw)], Allowed(), lists))
            wanted: dict[str, int] = expected[path.name]
            assert {code: found[code] for code in wanted} == wanted, path.name
            if not wanted:  # its attached pictures are not in the file
                assert set(found) <= {"cid"}, path.name


@needs_shared
def test_the_lists_find_each_of_their_patterns(tmp_path: Path) -> None:
    lists = _lists(tmp_path)
    for name in LISTS[:2]:
        for pattern in tracker.patterns((TRACKING / "lists" / name).read_text()):
            assert lists.tracker(_example(pattern), image=True), pattern
    with (TRACKING / "lists" / "kde-tracker-url-vectors.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            known = OWN.tracker(row["url"], image=True)
            mail = html_mail(f'<img src="{row["url"]}" width="1" height="1">')
            tracked = row["expected"] != "(not a tracker)"
            generic = row["case"] in {"mailgun", "segment"}
            assert bool(known) == tracked or generic, row
            assert not tracked or lint([Rendered(mail)], ALLOWED, OWN)


@needs_shared
def test_tracking_parameters_are_those_that_browsers_remove(tmp_path: Path) -> None:
    lists = _lists(tmp_path)
    said = json.loads((TRACKING / "lists" / "ddg-url-parameters-tests.json").read_text())
    for test in said["trackingParameters"]["tests"]:
        if "exceptions list" not in test["name"]:
            assert bool(lists.parameter(test["testURL"])) == (
                test["testURL"] != test["expectURL"]
            ), test["name"]


def _example(pattern: str) -> str:
    """An address that a pattern is meant for."""
    url = pattern.replace("*", "x").replace("^", "/")
    if url.startswith("||"):
        return f"https://{url[2:]}"
    if url.startswith("://"):
        return f"https{url}"
    if url.startswith("."):
        return f"https://a{url}"
    named = re.match(r"/?[a-z0-9-]+(\.[a-z0-9-]+)+", url, re.IGNORECASE)
    return f"https://{'' if named else 'a.example/'}{url.lstrip('/')}"


@pytest.mark.skipif(not (SHARED / "newsletters").exists(), reason="the newsletters are not here")
def test_newsletters_after_our_composer_raise_no_false_alarm() -> None:
    """What is found is in them: pictures from elsewhere, short links, links to an archive."""
    blocking = {"en-buttondown-fancy-post.md": {"redirector", "image-host"}}
    blocking["en-turing-way-2023-02-excerpt.md"] = {"image-host"}
    for path in sorted((SHARED / "newsletters").iterdir()):
        new = read_newsletter(path.read_bytes(), path.name)
        found = lint(rendered(composed(new.source, kind=new.kind)), ALLOWED, OWN)
        hard = {each.code for each in found if each.blocking}
        assert hard == blocking.get(path.name, set()), path.name
        assert {each.code for each in found} - hard <= {"short-link", "passed-on"}, path.name
