"""What objects show of themselves: at most ten lines of text, and HTML that holds every text as text."""

import base64
import re

from hypothesis import given
from hypothesis import strategies as st

from pointkit.cards import LINES, WIDTH, Card, Carded, listed, shortened

PNG = b"\x89PNG\r\n\x1a\n"


class Thing(Carded):
    def __init__(self, card):
        self._card = card

    def card(self):
        return self._card


def test_the_text_is_the_title_and_a_line_a_row():
    assert repr(Thing(Card("Store x", (("shapes", "3"), ("points", "9"))))) == "Store x\n  shapes: 3\n  points: 9"


@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=30))
def test_a_text_has_at_most_ten_lines_of_120_characters(title, rows):
    lines = Card(title, tuple(rows)).text().split("\n")
    assert len(lines) == min(1 + len(rows), LINES)
    assert max(map(len, lines)) <= WIDTH


def test_rows_that_are_left_out_are_counted():
    text = Card("many", tuple((str(i), "") for i in range(30))).text()
    assert text.endswith("\n  ... and 22 more")
    assert text.count("\n") == 9


def test_html_shows_names_as_they_are_and_pictures_inline():
    card = Card("<b>x</b>", (("a&b", "<script>"),), lambda: {'"one"': PNG, "two": PNG + b"2"})
    text = Thing(card)._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "a&amp;b" in text
    assert "<script>" not in text
    found = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", text)]
    assert found == [PNG, PNG + b"2"]
    assert 'alt="&quot;one&quot;"' in text


def test_a_picture_that_cannot_be_drawn_does_not_hide_the_rest():
    def fails():
        raise OSError("gone <away>")

    text = Card("title", (("row", "value"),), fails).html()
    assert "value" in text
    assert "no picture: gone &lt;away&gt;" in text


def test_many_names_are_counted_and_long_ones_cut():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(14))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
