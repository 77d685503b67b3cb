"""Things that a response must hold: placeholders, a postscript."""

import re

_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    """There are at least so many placeholders in square brackets, each on one line."""
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    """The marker occurs; "P.S." and "P.P.S" also with a blank after a point. Small and capital letters are alike.

    The original takes other markers for regular expressions; here they are plain text.
    """
    marker = postscript_marker.strip()
    return re.search(_POSTSCRIPTS.get(marker, re.escape(marker.lower())), text.lower()) is not None
