"""Merge fields are found, or refused with their line, and nothing else in braces is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.campaigns.merge import (
    MARK,
    Field,
    Marks,
    by_mark,
    escaped_unknown,
    filled,
    literal,
    pieces,
)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("{{ name }}", Field("name")),
        ("{{first_name}}", Field("first_name")),
        ("{{ address }}", Field("address")),
        ("{{ business }}", Field("business")),
        ("{{ attribute.city }}", Field("attribute.city")),
        ("{{ attribute.größe }}", Field("attribute.größe")),
        ('{{ name | default("reader") }}', Field("name", "reader")),
        ("{{name|default('dear \"reader\"')}}", Field("name", 'dear "reader"')),
        ("{{ name | default('') }}", Field("name", "")),
    ],
)
def test_a_field_is_understood(written: str, field: Field) -> None:
    marks = Marks()
    assert MARK.fullmatch(marks.protect(written))
    assert marks.fields == [field]
    assert marks.problems == []


@pytest.mark.parametrize(
    "written",
    [
        "{{ nmae }}", "{{ }}", "{{}}", "{{ name", "{{ name \n }}", "{{ name | uper }}",
        '{{ name | default("a\') }}', "{{ name | default(reader) }}", "{{ attribute. }}",
        "{{ attribute.a.b }}", "{{ name.__class__ }}", "{{ 7*7 }}", "{{{ name }}}",
    ],
)  # fmt: skip
def test_what_is_no_field_is_refused_with_its_line(written: str) -> None:
    marks = Marks()
    marks.protect(f"one\ntwo {written}\n{{{{ name }}}}\n{{{{ oops }}}}")
    assert [problem.line for problem in marks.problems] == [
        2,
        5 if "\n" in written else 4,
    ]
    assert marks.problems[0].text.startswith("{{")
    assert all(problem.message for problem in marks.problems)


def test_an_undeclared_attribute_is_refused_when_the_declared_ones_are_known() -> None:
    marks = Marks({"city"})
    marks.protect("{{ attribute.city }} {{ attribute.town }}")
    assert [problem.text for problem in marks.problems] == ["{{ attribute.town }}"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"\{{ name }}", "{{ name }}"),
        (r"\{{", "{{"),
        (r"\{{ \{% if x %}", "{{ {% if x %}"),
        (r"{% include a.md %}", "{% include a.md %}"),
        (r"\\\{{ x }}", r"\\{{ x }}"),
        ("a } b { c }} d", "a } b { c }} d"),
    ],
)
def test_braces_that_are_meant_stay(written: str, shown: str) -> None:
    marks = Marks()
    assert literal(marks.protect(written)) == shown
    assert marks.fields == []
    assert marks.problems == []


def test_the_same_field_has_one_mark() -> None:
    marks = Marks()
    text = marks.protect('{{ name }} {{name}} {{ name | default("x") }}')
    assert len(marks.fields) == 2
    assert filled(text, by_mark(["A", "B"])) == "A A B"
    assert pieces(text) == [0, " ", 0, " ", 1]


@given(st.text(st.sampled_from("{}%\\ \nna|\U0010e000\U0010e3e8\"'()."), max_size=60))
def test_a_file_from_elsewhere_never_has_a_malformed_field(text: str) -> None:
    marks = Marks()
    marks.protect(escaped_unknown(text)[0])
    assert marks.problems == []


def test_a_file_from_elsewhere_keeps_its_template_language() -> None:
    text, foreign = escaped_unknown("{{page.x | size}} {{ name }} {% if %} {{bse}}9")
    assert foreign == ["{{page.x | size}}", "{% if", "{{bse}}"]
    marks = Marks()
    assert literal(filled(marks.protect(text), by_mark(["Ana"]))) == (
        "{{page.x | size}} Ana {% if %} {{bse}}9"
    )
