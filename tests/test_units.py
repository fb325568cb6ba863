"""Quantities mean what they say, and a wrong spelling is answered with the right one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.units import EXAMPLES, QuantityError, kind_of, parse, parse_size, written

GOOD = [
    ("duration", "80ms", 0.08),
    ("duration", "1m30s", 90.0),
    ("duration", "1.5s", 1.5),
    ("duration", "250us", 0.00025),
    ("duration", "250µs", 0.00025),
    ("duration", "2h", 7200.0),
    ("duration", "30d", 2_592_000.0),
    ("duration", "90m", 5400.0),
    ("duration", "0s", 0.0),
    ("duration", " 10 s ", 10.0),
    ("rate", "60/s", 60.0),
    ("rate", "600/min", 10.0),
    ("rate", "7200/h", 2.0),
    ("share", "20%", 0.2),
    ("share", "0.5 %", 0.005),
    ("share", "150%", 1.5),
    ("size", "256MiB", 256 * 1024**2),
    ("size", "64kB", 64_000),
    ("size", "1KiB", 1024),
    ("size", "1.5GiB", 1.5 * 1024**3),
    ("bandwidth", "1MB/s", 1e6),
    ("bandwidth", "10Mbit/s", 1.25e6),
    ("cores", "0.5 cores", 0.5),
    ("cores", "1 core", 1.0),
    ("count", "3", 3.0),
]

BAD = [
    ("duration", "80", "write 80s"),
    ("duration", "500m", "write 500ms, or 8h20m"),
    ("duration", "1,5s", "write 1.5s"),
    ("duration", "80 msec", "write 80ms"),
    ("duration", "5 minutes", "write 5m"),
    ("duration", "1s1m", "is not a duration"),
    ("duration", "1s1s", "is not a duration"),
    ("duration", "1e3s", "is not a duration"),
    ("duration", "٣s", "is not a duration"),
    ("duration", "-5s", "is not a duration"),
    ("duration", "", "is empty"),
    ("duration", "inf", "is not a duration"),
    ("rate", "60", "write 60/s"),
    ("rate", "60 rps", "write 60/s"),
    ("rate", "60/fortnight", "is not a rate"),
    ("share", "0.2", "write 20%"),
    ("share", "20", "write 20%"),
    ("share", "20 percent", "write 20%"),
    ("size", "256Mi", "write 256MiB"),
    ("size", "256M", "write 256MiB or 256MB"),
    ("size", "256", "write 256MiB"),
    ("bandwidth", "10Mbps", "write 10Mbit/s"),
    ("bandwidth", "1MB", "write 1MB/s"),
    ("cores", "500m", "write 0.5 cores"),
    ("cores", "2", "write 2 cores"),
    ("count", "3s", "is not a count"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_a_quantity_is_read_in_base_units(kind: str, text: str, value: float):
    assert parse(kind, text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("kind", "text", "words"), BAD)
def test_a_wrong_spelling_is_answered_with_the_right_one(kind: str, text: str, words: str):
    with pytest.raises(QuantityError) as caught:
        parse(kind, text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "words"), [bad for bad in BAD if "; write" in bad[2] or "write " in bad[2]]
)
def test_the_spelling_proposed_is_read(kind: str, text: str, words: str):
    proposed = words.removeprefix("write ").split(",")[0].split(" or ")[0]
    assert parse(kind, proposed) > 0


def test_the_unit_proposed_to_a_bare_number_is_the_likely_one():
    with pytest.raises(QuantityError, match='"80" has no unit; write 80ms'):
        parse("duration", "80", likely="ms")


def test_a_size_is_whole_bytes():
    assert parse_size("1.5KiB") == 1536
    assert isinstance(parse_size("1KiB"), int)


@pytest.mark.parametrize(("kind", "text"), EXAMPLES.items())
def test_a_unit_alone_tells_the_kind(kind: str, text: str):
    assert kind_of(text) == kind


@given(st.sampled_from(["duration", "rate", "share", "bandwidth", "cores", "count"]), st.floats(0.001, 1e6))
def test_what_is_written_is_read_back(kind: str, value: float):
    value = round(value, 6)
    assert parse(kind, written(kind, value)) == pytest.approx(value, rel=1e-6, abs=1e-8)


@given(st.integers(0, 2**45))
def test_a_size_is_written_exactly(size: int):
    assert parse_size(written("size", size)) == size


@given(st.sampled_from(sorted(EXAMPLES)), st.text(max_size=30))
def test_no_text_raises_anything_but_a_quantity_error(kind: str, text: str):
    with contextlib.suppress(QuantityError):
        assert parse(kind, text) >= 0
