"""Decimal numbers from text, many at once, exactly as ``float`` reads them.

One call for each number would cost a hundred nanoseconds and more. Here all tokens of a block that fits the cache are
read together, each step as one NumPy operation. Eight digits are one 64-bit word, which three multiplications make a
number.
The digits of ``-14.249998`` make the integer 14249998. With at most 15 digits that integer is exact in a float64, and
so is the power of ten, so one division rounds correctly. All other tokens (exponents, nan, more digits) go one by one
to the library fastnumbers, which is as exact (docs/decisions/0011-numbers-out-of-text.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import fastnumbers
import numpy as np
from numpy.typing import NDArray

from pointkit.cloud import Float64

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_BLOCK = 1 << 17  # bytes read at once; the arrays of a block fit the second-level cache
_PAD = 16  # bytes before the text, so that a word that ends in the first token lies within the array
_NEWLINE, _SPACE = 10, 32
_ALIKE = re.compile(rb"-?\d\.(\d{1,6})(?:[ \n]|\Z)")
_MOST = 15  # digits that a float64 holds exactly, whatever they are
_POWERS = 10 ** np.arange(_MOST + 1, dtype=np.int64)
_FLOAT_POWERS = _POWERS.astype(np.float64)


def parse(text: bytes) -> tuple[Float64, Int64]:
    """All numbers of a text, and how many stand in each line that holds any.

    White space separates numbers. Raises ValueError for a token that is no decimal number and for control bytes.
    """
    values, counts = [], []
    start, end = 0, len(text) - text.endswith(b"\n")
    while start < end:
        stop = text.rfind(b"\n", start, start + _BLOCK) if end - start > _BLOCK else end
        if stop < 0:  # one line longer than a block
            stop = text.find(b"\n", start, end)
            stop = end if stop < 0 else stop
        block_values, block_counts = _block(text[start:stop])
        values.append(block_values)
        counts.append(block_counts)
        start = stop + 1
    if len(values) == 1:
        return values[0], counts[0]
    return np.concatenate([np.empty(0), *values]), np.concatenate([np.empty(0, np.int64), *counts])


def table(text: bytes) -> Float64:
    """Lines of equally many numbers as (lines, numbers in a line) float64; ValueError names a line that differs."""
    return of_equal_length(*parse(text))


def of_equal_length(values: Float64, counts: Int64) -> Float64:
    """Numbers, of which each line has so many, as (lines, numbers in a line); ValueError names a line that differs."""
    if not len(counts):
        return np.empty((0, 0))
    if counts.min() != counts.max():
        row = int(np.flatnonzero(counts != counts[0])[0])
        raise ValueError(f"rows must be equally long, got {counts[0]} numbers in row 0 and {counts[row]} in row {row}")
    return values.reshape(len(counts), -1)


def tables(texts: Sequence[bytes]) -> list[Float64]:
    """``table`` of each of several texts, parsed as one. For small texts this is several times as fast.

    Raises ValueError where any of them is wrong. ``table`` of each then says which and why.
    """
    whole = [text if text.endswith(b"\n") else text + b"\n" for text in texts]
    values, counts = parse(b"".join(whole))
    lines = [text.count(b"\n") for text in whole]
    if not lines or sum(lines) != len(counts):  # with empty lines, the end of each text is not known
        return [table(text) for text in texts]
    rows = np.concatenate([[0], np.cumsum(lines)])
    places = np.concatenate([[0], np.cumsum(counts)])[rows]
    answer = []
    for first, last, start, stop in zip(rows, rows[1:], places, places[1:], strict=False):
        some = counts[first:last]
        if some.min() != some.max():
            raise ValueError("rows must be equally long")
        answer.append(values[start:stop].reshape(len(some), -1))
    return answer


def digits(text: bytes) -> UInt8 | None:
    """The numbers of a text with one digit in each line; None for any other text."""
    lines = np.frombuffer(text if text.endswith(b"\n") else text + b"\n", np.uint8)
    if len(lines) % 2 or (lines[1::2] != _NEWLINE).any():
        return None
    values = lines[::2] - np.uint8(ord("0"))
    return values if values.max() <= 9 else None


def line_end(text: bytes, number: int) -> int:
    """The offset of the end of the ``number``-th line of a text; the text's length where it has fewer lines."""
    data = np.frombuffer(text, np.uint8)
    for start in range(0, len(data), _BLOCK):
        newline = data[start : start + _BLOCK] == _NEWLINE
        count = int(np.count_nonzero(newline))
        if number <= count:
            return start + int(np.flatnonzero(newline)[number - 1]) + 1 if number else start
        number -= count
    return len(data)


def _block(raw: bytes) -> tuple[Float64, Int64]:
    """``parse`` for a block that is cut at line ends."""
    text = np.empty(len(raw) + 2 * _PAD, np.uint8)
    text[:_PAD] = text[_PAD + len(raw) :] = _NEWLINE
    text[_PAD : _PAD + len(raw)] = np.frombuffer(raw, np.uint8)
    alike = _alike(text, raw)
    if alike is not None:
        return alike
    starts, points, ends, odd, num_dots = _tokens(text)
    lead = text[starts]
    negative = lead == ord("-")
    signed = negative | (lead == ord("+"))
    num_signs = int(np.count_nonzero(signed))
    num_newlines = int(np.count_nonzero(text == _NEWLINE))
    num_digits = np.count_nonzero(text - np.uint8(48) < 10)
    strange = num_digits + num_dots + num_signs + num_newlines + np.count_nonzero(text == _SPACE) != len(text)
    if strange:
        _refuse_control_bytes(text)
    counts = _line_counts(text, starts, ends, num_newlines)
    first = starts + signed if num_signs else starts
    digits = whole = points - first
    if num_dots:
        fraction = np.maximum(ends - points - 1, 0)  # -1 where there is no point
        digits = whole + fraction
    odd |= (digits == 0) | (digits > _MOST)
    num_letters = np.count_nonzero(text > ord("9")) if strange else 0  # of exponents, mostly
    if (np.count_nonzero(odd) + num_letters) * 4 > len(odd):  # splitting the block is cheaper than cutting out so many
        return _singly(raw.split(), raw), counts
    if strange:
        _mark_strange(text, starts, ends, odd)
    if num_dots:
        result = _decimals(text, first, whole, points + 1, fraction)
    else:
        result = _integers(_words(text), first, whole).astype(np.float64)
    if num_signs:
        bits = result.view(np.uint64)
        bits |= negative.astype(np.uint64) << np.uint64(63)
    if odd.any():
        spans = zip((starts[odd] - _PAD).tolist(), (ends[odd] - _PAD).tolist(), strict=True)
        result[odd] = _singly([raw[start:end] for start, end in spans], raw)
    return result, counts


def _decimals(text: UInt8, first: Int64, whole: Int64, behind: Int64, fraction: Int64) -> Float64:
    """Numbers of ``whole`` digits from ``first`` on, a point, and ``fraction`` digits from ``behind`` on."""
    words = _words(text)
    power = np.minimum(fraction, _MOST)
    if np.count_nonzero(power == power[0]) == len(power):  # as many decimals everywhere
        power = power[:1]
    value = _integers(words, first, whole)
    value *= _POWERS[power]
    value += _integers(words, behind, fraction)
    result = value.astype(np.float64)
    result /= _FLOAT_POWERS[power]
    return result


def _alike(text: UInt8, raw: bytes) -> tuple[Float64, Int64] | None:
    """``_block`` for numbers below ten as ``%.6f`` writes them, with one blank between; None for any other text.

    One digit, a point and the same number of decimals, up to six, fill one 64-bit word. So no token's ends are needed.
    """
    first = _ALIKE.match(raw)
    if not first:
        return None
    decimals, columns = len(first[1]), raw.count(b".", 0, raw.find(b"\n") if b"\n" in raw else len(raw))
    points = np.flatnonzero(text == ord("."))
    if len(points) % columns:
        return None
    behind = points + (decimals + 1)
    negative = text[points - 2] == ord("-")
    between = text[behind].reshape(-1, columns)
    # With the points in the right places, every byte belongs to a number or lies between two. Then it is enough to
    # count the digits.
    whole = (
        np.count_nonzero(points[1:] - behind[:-1] == 2 + negative[1:]) == len(points) - 1
        and points[0] - _PAD == 1 + negative[0]
        and behind[-1] == _PAD + len(raw)
        and np.count_nonzero(between[:, -1] == _NEWLINE) == len(between)
        and np.count_nonzero(between[:, :-1] == _SPACE) == len(between) * (columns - 1)
        and np.count_nonzero(text - np.uint8(48) < 10) == len(points) * (decimals + 1)
    )
    if not whole:
        return None
    word = np.ndarray(len(text) - 7, "<u8", text, strides=(1,))[points - 1]
    digit = (word & np.uint64(0xFF)) << np.uint64(8)  # over the point
    word &= np.uint64(0xFFFFFFFFFFFF0000)
    word |= digit
    value = _eight(word, np.int64(decimals + 2))  # with a zero in front
    result = value.astype(np.float64)
    result /= _FLOAT_POWERS[decimals]
    bits = result.view(np.uint64)
    bits |= negative.astype(np.uint64) << np.uint64(63)
    return result, np.full(len(between), columns)


def _tokens(text: UInt8) -> tuple[Int64, Int64, Int64, Bool, int]:
    """Each token's begin, its point (or its end) and its end; whether it has two points; the number of all points.

    The end is the offset of the byte after the token.
    """
    blank = text <= _SPACE
    edge = np.empty(len(text), bool)
    edge[0] = False
    np.not_equal(blank[1:], blank[:-1], out=edge[1:])
    is_dot = text == ord(".")
    num_dots = int(np.count_nonzero(is_dot))
    if num_dots:
        event = np.flatnonzero(edge | is_dot)
        if num_dots * 3 == len(event):
            points = event[1::3].copy()
            if np.count_nonzero(is_dot[points]) == num_dots:  # each token with a point, and digits before it
                return event[0::3].copy(), points, event[2::3].copy(), np.zeros(num_dots, bool), num_dots
    event = np.flatnonzero(edge)
    starts, ends = event[0::2].copy(), event[1::2].copy()
    odd = np.zeros(len(starts), bool)
    if not num_dots:
        return starts, ends, ends, odd, 0
    dots = np.flatnonzero(is_dot)
    owner = np.searchsorted(ends, dots, side="right")
    odd[owner[1:][owner[1:] == owner[:-1]]] = True
    points = ends.copy()
    points[owner] = dots
    return starts, points, ends, odd, num_dots


def _mark_strange(text: UInt8, starts: Int64, ends: Int64, odd: Bool) -> None:
    """Set ``odd`` for tokens that have more than one sign, digits and a point."""
    strange = np.flatnonzero((text > _SPACE) & (text - np.uint8(48) >= 10) & (text != ord(".")))
    owner = np.searchsorted(ends, strange, side="right")
    sign = (strange == starts[owner]) & ((text[strange] == ord("-")) | (text[strange] == ord("+")))
    odd[owner[~sign]] = True


def _refuse_control_bytes(text: UInt8) -> None:
    if (text < 9).any() or (text - np.uint8(14) < 18).any():
        raise ValueError("text must not hold control bytes")


def _words(text: UInt8) -> UInt64:
    """The little-endian 8-byte words that begin at each byte, as an array from which NumPy gathers fast."""
    return np.ascontiguousarray(np.ndarray(len(text) - 7, "<u8", text, strides=(1,)))


def _integers(words: UInt64, first: Int64, count: Int64) -> Int64:
    """The integers whose ``count`` digits (at most 15; else garbage) begin at the byte ``first``."""
    word = words[first]
    if not np.count_nonzero(count > 8):
        return _eight(word, count)
    head = np.minimum(count, 8)
    rest = np.clip(count - 8, 0, 8)
    return _eight(word, head) * _POWERS[rest] + _eight(words[first + head], rest)


def _eight(word: UInt64, count: Int64 | np.int64) -> Int64:
    """The integers that the first ``count`` (0 to 8) characters of 8-byte words spell."""
    # The shift drops what follows the digits and puts zeros before them. A shift by 64 gives 0.
    word <<= np.asarray((8 - count) << 3).view(np.uint64)
    word &= np.uint64(0x0F0F0F0F0F0F0F0F)
    word *= np.uint64(10 * 2**8 + 1)  # each pair of digits
    word >>= np.uint64(8)
    word &= np.uint64(0x00FF00FF00FF00FF)
    word *= np.uint64(100 * 2**16 + 1)  # each pair of pairs
    word >>= np.uint64(16)
    word &= np.uint64(0x0000FFFF0000FFFF)
    word *= np.uint64(10000 * 2**32 + 1)
    word >>= np.uint64(32)
    return word.view(np.int64)


def _singly(tokens: list[bytes], raw: bytes) -> Float64:
    """Tokens of the block ``raw`` read one by one."""
    nan = _judge if b"(" in raw else fastnumbers.ALLOWED  # "nan(1)" is a nan for fastnumbers alone
    return fastnumbers.try_array(tokens, nan=nan, on_fail=_judge)


def _judge(token: bytes) -> float:
    """A token as ``float`` reads it, except that underscores between digits are refused."""
    try:
        return float(token.replace(b"_", b"?"))
    except ValueError:
        found = token[:40].decode("ascii", "backslashreplace")
        raise ValueError(f"a number is expected, got {found!r}") from None


def _line_counts(text: UInt8, starts: Int64, ends: Int64, num_newlines: int) -> Int64:
    upto = np.flatnonzero(text[ends] == _NEWLINE) + 1
    if len(upto) != num_newlines - 2 * _PAD + 1:  # blank lines, or blanks at the ends of lines
        upto = np.unique(np.searchsorted(starts, np.flatnonzero(text == _NEWLINE)))
        upto = upto[upto > 0]
    counts = upto.copy()
    counts[1:] -= upto[:-1]
    return counts
