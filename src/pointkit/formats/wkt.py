"""WKT, the text that names a coordinate reference system in the files of surveys."""

from __future__ import annotations

import re


def name(text: str) -> str:
    """The outermost name in a text of WKT, and the code that stands last in it, which is that of the whole.

    "" for other texts.
    """
    found = re.match(r'\s*[A-Z_]+\s*[\[(]\s*"([^"]*)"', text)
    codes = re.findall(r'(?:AUTHORITY|ID)\s*[\[(]\s*"([^"]*)"\s*,\s*"?(\d+)"?\s*[\])]\s*[\])][\s\0]*$', text)
    if found is None:
        return ""
    return f"{found[1]} ({codes[-1][0]}:{codes[-1][1]})" if codes else found[1]
