"""The number parser against ``float``, to the last bit."""

import decimal
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointkit.formats import numbers

DIGITS = st.text("0123456789", max_size=20)
PLAIN = st.builds(
    lambda sign, whole, point, rest: sign + (whole + point + rest if whole or (point and rest) else "7"),
    st.sampled_from(["", "", "-", "+"]), DIGITS, st.sampled_from(["", "."]), DIGITS,
)  # fmt: skip
FLOATS = st.floats(allow_nan=False).map(repr)
FORMATTED = st.builds(
    lambda value, style: style % value,
    st.floats(-1e6, 1e6),
    st.sampled_from(["%.6f", "%.3f", "%.0f", "%g", "%.10f", "%.12e"]),
)
BLANKS = st.sampled_from([" ", "\n", "  ", "\t", "\r\n", "\n\n", " \n"])


ANY_BITS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**52 - 1),  # subnormals
    st.integers(0, 1075).map(lambda exponent: exponent << 52),  # powers of two
).map(lambda pattern: struct.unpack("d", pattern.to_bytes(8, "little"))[0]).filter(math.isfinite)  # fmt: skip
WRITTEN = st.builds(
    lambda value, style: format(value, style) if style else repr(value),
    ANY_BITS,
    st.sampled_from(["", ".15g", ".16g", ".17g", ".16e", ".18e", ".25e", ".40e", ".20f"]),
)
MANY_DIGITS = st.builds(
    lambda sign, whole, rest, exponent: f"{sign}{whole}.{rest}e{exponent}",
    st.sampled_from(["", "-", "+"]),
    st.text("0123456789", min_size=1, max_size=60),
    st.text("0123456789", max_size=60),
    st.integers(-500, 500),
)


def halfway(value, slip, places):
    """The decimal midway between a number and the next, or a little beside it, or cut to some decimal places."""
    with decimal.localcontext(prec=1200):
        middle = (decimal.Decimal(value) + decimal.Decimal(math.nextafter(value, 0))) / 2
        middle += slip * abs(middle) * decimal.Decimal("1e-800")
    return f"{middle:e}" if places is None else f"{middle:.{places}e}"


HALFWAY = st.builds(halfway, ANY_BITS, st.sampled_from([-1, 0, 1]), st.sampled_from([None, 16, 17, 18, 19, 20, 30]))


def bits(values):
    return np.array(values, np.float64).view(np.uint64).tolist()


def check(text):
    values, counts = numbers.parse(text)
    assert bits(values) == bits([float(token) for token in text.split()])
    assert counts.tolist() == [len(line.split()) for line in text.split(b"\n") if line.split()]


@given(st.lists(st.tuples(st.one_of(PLAIN, FLOATS, FORMATTED), BLANKS), max_size=30), BLANKS)
@settings(deadline=None)
def test_every_token_is_read_to_the_last_bit(tokens, lead):
    check((lead + "".join(token + blank for token, blank in tokens)).encode())


@given(st.lists(st.one_of(WRITTEN, MANY_DIGITS, HALFWAY), min_size=1, max_size=20), st.integers(0, 100), BLANKS)
@settings(deadline=None, max_examples=500)
def test_numbers_that_are_hard_to_round_alone_and_among_easy_ones(tokens, easy, blank):
    check(blank.join(tokens + ["-0.25"] * easy).encode())


@pytest.mark.parametrize("style", [".18e", ".17g", ".16f", ".6e", ".40e"])
def test_a_block_of_long_numbers(style):
    values = np.random.default_rng(0).integers(0, 2**64, 3000, np.uint64).view(np.float64)
    values = values[np.isfinite(values)].tolist()
    check("\n".join(" ".join(format(v, style) for v in values[i : i + 3]) for i in range(0, len(values), 3)).encode())


UNIT = np.random.default_rng(0).uniform(-1, 1, 600).tolist()


@pytest.mark.parametrize(
    ("style", "most"),
    [(".6f", 0), (".9f", 0), (".0f", 0), (".3f", 0), (".14f", 0), (".6g", 60), (".18e", 600), (".17g", 600)],
)
@pytest.mark.parametrize("scale", [1, 1000])
def test_which_numbers_are_read_one_by_one(monkeypatch, style, most, scale):
    singly, judged = [], []
    read, judge = numbers._singly, numbers._judge
    monkeypatch.setattr(numbers, "_singly", lambda tokens, raw: singly.extend(tokens) or read(tokens, raw))
    monkeypatch.setattr(numbers, "_judge", lambda token: judged.append(token) or judge(token))
    if style == ".14f" and scale > 1:
        style = ".11f"  # 15 digits at most
    text = "\n".join(" ".join(format(scale * v, style) for v in UNIT[i : i + 6]) for i in range(0, 600, 6)).encode()
    check(text)
    assert len(singly) <= most
    assert not judged  # the slow way of ``float`` is for what is no number


def test_one_that_is_no_plain_decimal_leaves_the_others_to_be_read_together(monkeypatch):
    singly, read = [], numbers._singly
    monkeypatch.setattr(numbers, "_singly", lambda tokens, raw: singly.extend(tokens) or read(tokens, raw))
    check(b"0.5 12.25 -3.5\n" * 40 + b"nan 1e-05 0.12345678901234567\n" + b"7 8. .5\n" * 40)
    assert singly == [b"nan", b"1e-05", b"0.12345678901234567"]


@given(st.lists(st.tuples(FORMATTED, FORMATTED, FORMATTED), min_size=1, max_size=20), st.integers(1, 60))
@settings(deadline=None)
def test_blocks_join_without_a_seam(rows, block):
    text = "\n".join(" ".join(row) for row in rows).encode()
    whole = numbers.parse(text)
    size, numbers._BLOCK = numbers._BLOCK, block
    try:
        pieces = numbers.parse(text)
    finally:
        numbers._BLOCK = size
    assert bits(pieces[0]) == bits(whole[0])
    assert pieces[1].tolist() == whole[1].tolist()


def test_all_widths_before_and_after_the_point():
    digits = "12345678901234567890"
    tokens = [
        f"{sign}{digits[:whole]}.{digits[:rest]}" for sign in ("", "-") for whole in range(20) for rest in range(1, 20)
    ]
    for token in tokens:  # alone, where the widest token is itself, and in company
        check(token.encode())
    check(" ".join(tokens).encode())


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740992 9007199254740993 9007199254740994",  # 2**53 and the first that no float64 holds
        "900719925474099.2 900719925474099.3 0.9007199254740993",
        "-0 -0.0 +0 0 -.5 5. -5. +.25",
        "1e5 1E-5 -1.5e+300 1e400 5e-324 inf -Infinity nan",
        "-nan +NaN -inf +iNfInItY",
        "1e99999999999999999999 -1e-99999999999999999999 0e999999999999 1e0000000000000000000000000005",
        "2.4703282292062327e-324 2.4703282292062328e-324 2.2250738585072011e-308 1.7976931348623159e308",
        "9007199254740993e0 9007199254740993.00000000000000000000000000000001 8.5e15 999999999999999 999999999999999.9",
        "7" * 5000 + " 0." + "0" * 5000 + "3e5000 1." + "0" * 5000 + "1",
        "0.30000000000000004 0.1 1.7976931348623157e308 123456789.123456789",
        "00000000000000000000001.5 1.50000000000000000000000",
        "3 0 1 2\n3 2 1 0\n4 0 1 2 3\n",
        "1.5 2.5 3.5\n" * 20000,
        "",
        "\n \n",
    ],
)
def test_worked_cases(text):
    check(text.encode())


def test_an_exact_decimal_beside_long_ones():
    assert numbers.parse(b"2.5\n123456789012345678.25")[0].tolist() == [2.5, 123456789012345678.25]


@pytest.mark.parametrize(
    "token",
    [
        "abc",
        "1.2.3",
        "1-2",
        "--1",
        "+-1",
        "-",
        ".",
        "-.",
        "1_000",
        "0x10",
        "1e",
        "1,5",
        "1d5",
        "é",
        "12a",
        "a12",
        "1e5.0",
        "1e+",
        "1_0.5e3",
        "nan(1)",
        "-NAN()",
        "infinit",
    ],
)
def test_what_is_no_number_is_refused(token):
    company = "1.5 2.5\n" * 20
    for text in (token, f"1 2 3\n4 {token} 6", f"1.5 2.5\n{token} 3.5", f"{company}{token} 3.5", f"nan 1e5\n{token}"):
        with pytest.raises(ValueError) as caught:
            numbers.parse(text.encode())
        assert str(caught.value) == f"a number is expected, got {token.encode().decode('ascii', 'backslashreplace')!r}"


@pytest.mark.parametrize("byte", [0, 1, 8, 14, 27, 31])
def test_control_bytes_are_no_white_space(byte):
    one = bytes([byte])
    for text in (b"1 2" + one + b"3", one, b"1e5 nan" + one + b"1e6", b"1.5 2.5\n" * 20 + one):
        with pytest.raises(ValueError, match="control bytes"):
            numbers.parse(text)


def test_the_message_stays_short_and_of_one_line():
    with pytest.raises(ValueError) as caught:
        numbers.parse(b"x" * 10_000 + b"\xff")
    assert len(str(caught.value)) < 100
    assert "\n" not in str(caught.value)


def test_table_is_rows_by_columns():
    assert numbers.table(b"1 2\n\n3 4 \n").tolist() == [[1, 2], [3, 4]]
    assert numbers.table(b" \n").shape == (0, 0)
    with pytest.raises(ValueError, match="2 numbers in row 0 and 3 in row 2"):
        numbers.table(b"1 2\n3 4\n5 6 7\n")


@given(st.lists(st.text("ab ", max_size=5), max_size=20), st.integers(0, 25), st.integers(1, 9))
@settings(deadline=None)
def test_line_end_is_behind_the_line(lines, number, block):
    text = "".join(line + "\n" for line in lines).encode()
    size, numbers._BLOCK = numbers._BLOCK, block
    try:
        end = numbers.line_end(text, number)
    finally:
        numbers._BLOCK = size
    assert text[:end] == b"".join(text.splitlines(keepends=True)[:number])


@given(
    st.integers(0, 7),
    st.integers(1, 4),
    st.lists(st.floats(-9.9, 9.9), min_size=1, max_size=40),
    st.one_of(st.none(), st.tuples(st.integers(0, 400), st.sampled_from("0123456789-+. \n\tex"))),
)
@settings(deadline=None, max_examples=300)
def test_numbers_written_alike_and_what_only_looks_so(decimals, columns, values, slip):
    rows = [values[i : i + columns] for i in range(0, len(values), columns)]
    text = "\n".join(" ".join(f"{value:.{decimals}f}" for value in row) for row in rows)
    if slip:  # one character in another's place
        place = slip[0] % len(text)
        text = text[:place] + slip[1] + text[place + 1 :]
    try:
        wanted = [float(token) for token in text.split()]
    except ValueError:
        with pytest.raises(ValueError, match="a number is expected"):
            numbers.parse(text.encode())
    else:
        check(text.encode())
        assert bits(numbers.parse(text.encode())[0]) == bits(wanted)


@given(st.lists(st.lists(st.tuples(FORMATTED, FORMATTED), max_size=4), max_size=5), BLANKS, st.booleans())
@settings(deadline=None)
def test_several_tables_at_once_are_the_tables_one_by_one(texts, end, ended):
    whole = ["\n".join(" ".join(row) for row in rows) for rows in texts]
    raw = [(text + (end if ended else "")).encode() for text in whole]
    together = numbers.tables(raw)
    assert len(together) == len(raw)
    for one, text in zip(together, raw, strict=True):
        alone = numbers.table(text)
        assert one.size == alone.size
        assert bits(one.ravel()) == bits(alone.ravel())
        assert not one.size or one.shape == alone.shape


def test_tables_of_different_widths_and_a_wrong_one():
    assert [one.shape for one in numbers.tables([b"1 2\n3 4\n", b"5 6 7"])] == [(2, 2), (1, 3)]
    with pytest.raises(ValueError, match="equally long"):
        numbers.tables([b"1 2\n3\n", b"5 6 7\n"])


@pytest.mark.parametrize(
    ("text", "values"),
    [(b"0\n1\n9\n", [0, 1, 9]), (b"7", [7]), (b"0\n1", [0, 1]), (b"10\n1\n", None), (b"0 1\n", None), (b"a\n", None),
     (b"0\n\n", None), (b"-\n", None), (b"\n", None)],
)  # fmt: skip
def test_lines_of_one_digit(text, values):
    found = numbers.digits(text)
    assert (None if found is None else found.tolist()) == values
