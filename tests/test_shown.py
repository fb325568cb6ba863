"""The escaping door: nothing that a terminal or a parser would obey comes through."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from runner.shown import shown, shown_lines

ANYTHING = st.text(st.characters(exclude_categories=())) | st.text(
    st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp"))
)


@given(ANYTHING)
def test_no_control_format_or_surrogate_character_comes_through(text: str) -> None:
    for character in shown(text):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(ANYTHING)
def test_what_is_shown_can_be_encoded_and_is_shown_the_same_again(text: str) -> None:
    once = shown(text)
    assert once.encode("utf-8").decode("utf-8") == once
    assert shown(once) == once


@given(ANYTHING, st.integers(0, 30))
def test_the_limit_holds(text: str, limit: int) -> None:
    assert len(shown(text, limit)) <= limit
    assert len(shown_lines(text, limit)) <= limit


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


def test_escapes_are_readable() -> None:
    assert (
        shown("a\x1b[31mb\n\x00\x9b\u202e\U000e0001\ud800")
        == "a\\x1b[31mb\\n\\x00\\x9b\\u202e\\U000e0001\\ud800"
    )


def test_a_cut_text_ends_in_an_ellipsis_and_tears_no_escape() -> None:
    assert shown("abcdefgh", 5) == "abcd…"
    assert shown("abc\x1b\x1b", 6) == "abc…"


def test_lines_stay_lines_where_asked() -> None:
    assert shown_lines("one\ntwo\x1b\r\nthree") == "one\ntwo\\x1b\nthree"
