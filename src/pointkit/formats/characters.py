"""The characters of a text format: a mark at its beginning, UTF-16, line ends of other systems."""

from __future__ import annotations

MARK = b"\xef\xbb\xbf"  # of UTF-8, which some editors put first
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # the marks of UTF-16


def lines(text: bytes) -> bytes:
    """The text in UTF-8 without a mark, its lines ended by line feeds. Raises ValueError for damaged UTF-16."""
    text = plain(text)
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def plain(text: bytes) -> bytes:
    """The text in UTF-8 without a mark. Raises ValueError for damaged UTF-16."""
    if not text.startswith(_WIDE):
        return text.removeprefix(MARK)
    try:
        return text.decode("utf-16").encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the text begins as UTF-16 and is damaged at byte {error.start}; save it as UTF-8") from None
