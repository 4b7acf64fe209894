"""Text that others wrote, made safe for every place where it is shown.

Names of models, layers, packages and branches, errors and logs are written by whoever opens a pull request.
Nothing here trusts them: what is shown can neither hide characters, nor reorder or restyle its surroundings,
nor become markup, a link, a mention or our own marker. Work is bounded by the limit, however long the text.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

#: Put into a mention or link it stops GitHub from acting on it, and a reader does not see it.
BREAK = "\u200b"
ELLIPSIS = "…"

_ANSI = re.compile(
    "\x1b\\][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\\\)?"  # a title or hyperlink (OSC)
    "|\x1b[PX^_][^\x1b\n]{0,4096}(?:\x1b\\\\)?"  # device control and other strings
    "|(?:\x1b\\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"  # colours, cursor (CSI)
    "|\x1b[ -/]{0,8}[0-~]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS_SHOWN = 4  # more on one character only cover the lines above it


def plain(value: str, limit: int) -> str:
    """One line of visible characters, at most `limit` of them; what was cut is an ellipsis.

    ANSI escapes, control, bidirectional and zero-width characters are gone; white space is single spaces.
    """
    text = re.sub(r"\s+", " ", _visible(_part(value, limit))).strip()
    return _cut(text, limit, cut_before=len(value) > _reach(limit))


def multiline(value: str, limit: int) -> str:
    """Like `plain`, but lines stay lines; at most one empty line in a row, tabs are spaces."""
    text = _lines(_part(value, limit))
    return _cut(text, limit, cut_before=len(value) > _reach(limit))


def tail(value: str, limit: int) -> str:
    """The last lines of a log, at most `limit` characters; an ellipsis stands where the rest was."""
    text = _lines(value[-_reach(limit) :])
    if len(text) <= limit:
        return text if len(value) <= _reach(limit) else f"{ELLIPSIS}\n{text}"
    kept = text[-(limit - 2) :]
    _, newline, whole_lines = kept.partition("\n")
    if newline and whole_lines:
        return f"{ELLIPSIS}\n{whole_lines}"
    start = next((at for at, letter in enumerate(kept) if not _joins(letter)), len(kept))
    return f"{ELLIPSIS}\n{kept[start:]}"


def first_line(value: str) -> str:
    """The first line that says something, cleaned; empty if none does."""
    for line in _visible(value.lstrip()[:4096]).split("\n"):
        if line.strip():
            return re.sub(r"\s+", " ", line).strip()
    return ""


def markdown_text(value: str, limit: int) -> str:
    """`plain` text that Markdown shows as it is: in a paragraph, a list or a table cell, at its start or not.

    GitHub makes nothing of it: no mention, issue, commit, link, formula, emoji, image, HTML or comment.
    """
    text = _unlinked(plain(value, limit))
    text = re.sub(r"""[\\`*_~\[\]()!#<>&|$]""", lambda match: _MARKDOWN[match[0]], text)
    text = re.sub(
        r"^([-+](?=[ -]|$)|=|:(?=-))", r"\\\1", text
    )  # a list, or what underlines a heading or table
    return re.sub(r"^(\d{1,9})\.(?= |$)", r"\1\\.", text)


def markdown_code(value: str, limit: int) -> str:
    """`plain` text as inline code, in a paragraph as well as in a table cell; an en dash if it is empty."""
    text = _unmarked(plain(value, limit))
    if not text:
        return "–"
    if "|" in text:  # a table would show the backslash that escapes a pipe, or split at the pipe
        return f"<code>{_entities(_unlinked(text))}</code>"
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def html_text(value: str, limit: int) -> str:
    """`plain` text for HTML inside Markdown, such as `<summary>`, where Markdown's escapes are not read."""
    return escape(_unlinked(plain(value, limit)))


def fence(value: str, limit: int, language: str = "text") -> str:
    """`multiline` text as a fenced block that nothing in it can close. `language` is never theirs."""
    text = _unmarked(multiline(value, limit))
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


_MARKDOWN = {mark: f"\\{mark}" for mark in "\\`*_~[]()!#"} | {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "|": "&#124;",  # read the same inside and outside a table
    "$": "&#36;",  # GitHub typesets formulas
}
_LINKS = re.compile(
    r"(?P<mention>@)|(?P<issue>\#|\bGH-)(?=\d)|(?P<scheme>:)(?=//)|(?P<www>\bwww)(?=\.)"
    r"|(?P<comment><!)(?=--)|(?P<commit>\b[0-9a-f]{4})(?=[0-9a-f]{3,36}\b)"
    r"|(?P<emoji>:)(?=[\w+-]{1,40}:)",
    re.IGNORECASE,
)


def _unlinked(text: str) -> str:
    return _LINKS.sub(lambda match: match[0] + BREAK, text)


def _unmarked(text: str) -> str:
    return text.replace("<!--", f"<!{BREAK}--")


def _entities(text: str) -> str:
    return re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match[0])};", text)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _reach(limit: int) -> int:
    """How much of a text is looked at to find `limit` visible characters."""
    return 4 * limit + 4096


def _part(value: str, limit: int) -> str:
    return value[: _reach(limit)]


def _visible(text: str) -> str:
    text = _LINE_ENDS.sub("\n", _ANSI.sub("", text))
    text = _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))
    return text if text.isascii() else _few_marks(text)


def _few_marks(text: str) -> str:
    joining = {letter for letter in set(text) if _joins(letter)}
    if not joining:
        return text
    letters: list[str] = []
    marks = 0
    for letter in text:
        marks = marks + 1 if letter in joining else 0
        if marks <= _MARKS_SHOWN:
            letters.append(letter)
    return "".join(letters)


def _lines(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in _visible(text).expandtabs(4).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def _joins(letter: str) -> bool:
    """Whether a character is drawn onto the one before it: a combining mark, or the skin of an emoji."""
    return unicodedata.category(letter).startswith("M") or "\U0001f3fb" <= letter <= "\U0001f3ff"


def _cut(text: str, limit: int, *, cut_before: bool) -> str:
    if len(text) <= limit and not cut_before:
        return text
    end = min(len(text), limit - 1)
    while 0 < end < len(text) and _joins(text[end]):
        end -= 1
    return text[:end].rstrip() + ELLIPSIS
