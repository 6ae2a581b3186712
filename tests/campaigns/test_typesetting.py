"""A body as it is set: buttons, tables whose words stay whole, lines that run the other way."""

from __future__ import annotations

import re

import pytest

from tests.campaigns.mails import composed

LINK = "https://bakery.example/order"


def body(source: str, kind: str = "markdown", **changes: object) -> str:
    """The inside of the mail, without its styles."""
    html = composed(source, kind=kind, **changes).html
    inside = html.partition('<td class="body')[2].partition('<td class="foot')[0]
    return re.sub(r' style="[^"]*"', "", inside)


@pytest.mark.parametrize("written", [f"[**Order {{{{ name }}}}**]({LINK})", f"**[Order]({LINK})**"])
def test_a_bold_link_on_its_own_is_a_button(written: str) -> None:
    """In the text part it is a link like any other."""
    message = composed(f"Hello.\n\n{written}\n\nBye.")
    assert f'<td class="button"><a class="button" href="{LINK}">Order' in body(
        f"Hello.\n\n{written}\n\nBye."
    )
    assert "<strong" not in message.html
    assert re.search(r"\nOrder.* \[1\]\n", message.text)


@pytest.mark.parametrize(
    "written",
    [
        f"**[Order]({LINK})** now",
        f"[Order]({LINK})",
        "**Order**",
        f"- **[Order]({LINK})**",
        f"[**![Order](https://a.example/b.png)**]({LINK})",
    ],
)
def test_any_other_link_is_none(written: str) -> None:
    assert 'class="button"' not in body(written)


def test_words_of_a_table_stay_whole_where_they_fit() -> None:
    """On a telephone too, or on a wide screen only; what fits nowhere breaks where it must."""
    narrow = "| Day | Opens |\n|---|---|\n| Saturday | 7:00 |"
    wide = (
        "| Day | Shop | Garden | Baked |\n|---|---|---|---|\n|Saturday|afternoons|closed|sourdough|"
    )
    broad = f"| Day | Where |\n|---|---|\n| Saturday | {'x' * 90} |"
    known = "| Day | Where |\n|---|---|\n| Saturday | {{ name }} |"
    assert [re.findall(r'class="(data[^"]*)"', body(each)) for each in (narrow, wide)] == [
        ["data whole"],
        ["data wide"],
    ]
    assert [re.findall(r'class="(data[^"]*)"', body(each)) for each in (broad, known)] == [
        ["data"],
        ["data"],
    ]


def test_what_runs_the_other_way_says_so() -> None:
    """A list, a quotation and a heading too; what is inside runs with it."""
    found = body(
        "Bread.\n\n## خبز\n\nمرحبا بكم.\n\n{{ name }}, שלום.\n\n- لحم\n- 7:00\n\n> نعم\n\n"
        "| يوم | 8 |\n|---|---|\n| سبت | Rye |\n\n`1` 2 3"
    )
    assert found.count('dir="rtl"') == 6
    assert '<h2 class="rtl" dir="rtl">' in found
    assert '<ul class="rtl" dir="rtl">\n<li>' in found
    assert '<table class="data whole rtl" dir="rtl"' in found
    assert '<td class="ltr" dir="ltr">Rye' in found
    assert 'align="right"' in found.partition("<th ")[2].partition(">")[0]
    assert '<blockquote class="rtl" dir="rtl">' in found


def test_in_a_mail_from_right_to_left_english_is_the_other_way() -> None:
    found = body("مرحبا.\n\nHello.\n\n- one\n", locale="ar")
    assert found.count('dir="ltr"') == 3
    assert '<ul class="ltr" dir="ltr">' in found
    assert '<h1 class="ltr" dir="ltr">Rye' in found


def test_what_the_author_said_stays() -> None:
    found = body('<p dir="rtl">Hello</p><p dir="ltr">שלום</p>', kind="html")
    assert '<p class="rtl" dir="rtl">Hello' in found
    assert '<p dir="ltr">שלום' in found
