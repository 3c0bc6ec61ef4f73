"""What an object shows of itself: at most ten lines in Python, and a card with small pictures in a notebook."""

from __future__ import annotations

import base64
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

LINES, WIDTH = 10, 120  # the most of a text

Pictures = Mapping[str, bytes]  # caption -> PNG


def no_pictures() -> Pictures:
    """Of what has none."""
    return {}


@dataclass(frozen=True)
class Card:
    """A ``title``, ``rows`` of a name and its text, and a function that draws the ``pictures``."""

    title: str
    rows: tuple[tuple[str, str], ...] = ()
    pictures: Callable[[], Pictures] = no_pictures

    def text(self) -> str:
        """The title and the rows, a line each, at most ten of them; a long line is cut."""
        lines = [self.title, *(f"  {name}: {text}" for name, text in self.rows)]
        if len(lines) > LINES:
            lines = [*lines[: LINES - 1], f"  ... and {len(lines) - LINES + 1} more"]
        return "\n".join(shortened(one_line(line)) for line in lines)

    def html(self) -> str:
        """The title, the rows and the pictures. What a picture cannot be drawn for is said in its place."""
        try:
            shown = "".join(_figure(caption, data) for caption, data in self.pictures().items())
        except Exception as error:  # a card is looked at while one searches for what is wrong
            shown = f"<div>no picture: {html.escape(str(error))}</div>"
        cell = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"
        rows = "".join(
            f'<tr><th style="{cell};font-weight:normal;opacity:.7;white-space:nowrap">{html.escape(name)}</th>'
            f'<td style="{cell}">{html.escape(text)}</td></tr>'
            for name, text in self.rows
        )
        table = f'<table style="margin:4px 0;border-collapse:collapse">{rows}</table>' if rows else ""
        return f"<div><b>{html.escape(self.title)}</b>{table}{shown}</div>"


class Carded(ABC):
    """An object that Python and notebooks show by its ``card``."""

    @abstractmethod
    def card(self) -> Card:
        """What is shown."""

    def __repr__(self) -> str:
        return self.card().text()

    def _repr_html_(self) -> str:
        return self.card().html()


def one_line(text: str) -> str:
    """The text without line breaks; spaces at its beginning stay."""
    return text.replace("\r", " ").replace("\n", " ")


def shortened(text: str, width: int = WIDTH) -> str:
    """The text, cut with an ellipsis where it is longer than ``width`` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names joined by commas. Of many the first are named, and the others counted."""
    all_ = list(names)
    more = f" and {len(all_) - most:,} more" if len(all_) > most else ""
    return ", ".join(all_[:most]) + more


def _figure(caption: str, data: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    safe = html.escape(caption, quote=True)
    return (
        '<figure style="display:inline-block;margin:4px 8px 4px 0;vertical-align:top">'
        f'<img src="{source}" alt="{safe}" style="max-width:100%;max-height:340px;background:white">'
        f'<figcaption style="font-size:85%;opacity:.7">{html.escape(caption)}</figcaption></figure>'
    )
