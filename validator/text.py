"""Untrusted text, made safe for every place that displays it.

Whoever opens a pull request writes the names of models, layers, packages and branches, errors and logs. The
result hides no characters, does not reorder or restyle its surroundings, and becomes no markup, link,
mention or marker of ours. The work is bounded by the limit, however long the text.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

#: Invisible; inside a mention or link, it stops GitHub from acting on it.
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
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,40}://)(?P<login>[^/?#\s]*@)?(?P<path>[^?#\s'\"<>]*)"
    r"(?P<query>\?[^#\s'\"<>]+)?"
)
_MAX_MARKS = 4  # combining marks per character; more only cover the lines above


def plain(value: str, limit: int) -> str:
    """One line of at most `limit` visible characters, with an ellipsis for what was cut.

    ANSI escapes, control, bidirectional and zero-width characters are removed; white space is collapsed.
    """
    text = " ".join(_visible(value[: _reach(limit)]).split())
    return _cut(text, limit, complete=len(value) <= _reach(limit))


def multiline(value: str, limit: int) -> str:
    """Like `plain`, but keeps lines, with at most one empty line in a row; tabs become spaces."""
    return _cut(_lines(value[: _reach(limit)]), limit, complete=len(value) <= _reach(limit))


def tail(value: str, limit: int) -> str:
    """The last lines of a log, at most `limit` characters, after an ellipsis for the rest."""
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
    """The first line that is not blank, cleaned; empty if there is none."""
    lines = (" ".join(line.split()) for line in _visible(value.lstrip()[:4096]).split("\n"))
    return next(filter(None, lines), "")


def redact(text: str) -> str:
    """Replace what can hold credentials in every URL of a text by `***`: the login, and the query.

    The `git@` of an SSH address stays.
    """

    def hide(match: re.Match[str]) -> str:
        login = match["login"] if match["login"] in (None, "git@") else "***@"
        return f"{match['scheme']}{login or ''}{match['path']}{'?***' if match['query'] else ''}"

    return _URL.sub(hide, text)


def markdown_text(value: str, limit: int) -> str:
    """`plain` text that Markdown displays literally: in a paragraph, list or table cell, at its start or not.

    GitHub renders no mention, issue, commit, link, formula, emoji, image, HTML or comment from it.
    """
    text = _unlinked(plain(value, limit))
    text = re.sub(r"""[\\`*_~\[\]()!#<>&|$]""", lambda match: _MARKDOWN[match[0]], text)
    # What begins a list, or underlines a heading or table.
    text = re.sub(r"^([-+](?=[ -]|$)|=|:(?=-))", r"\\\1", text)
    return re.sub(r"^(\d{1,9})\.(?= |$)", r"\1\\.", text)


def markdown_code(value: str, limit: int) -> str:
    """`plain` text as inline code, for a paragraph or a table cell; an en dash if it is empty."""
    text = _unmarked(plain(value, limit))
    if not text:
        return "–"
    if "|" in text:  # a table displays the backslash that escapes a pipe, or splits at the pipe
        entities = re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match[0])};", _unlinked(text))
        return f"<code>{entities}</code>"
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def html_text(value: str, limit: int) -> str:
    """`plain` text for HTML inside Markdown, such as `<summary>`, where Markdown's escapes do not apply."""
    return escape(_unlinked(plain(value, limit)))


def fence(value: str, limit: int, language: str = "text") -> str:
    """`multiline` text as a fenced block that nothing in it can close. `language` must be trusted."""
    text = _unmarked(multiline(value, limit))
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


_MARKDOWN = {mark: f"\\{mark}" for mark in "\\`*_~[]()!#"} | {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "|": "&#124;",  # the same inside and outside a table
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


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _reach(limit: int) -> int:
    """How many characters are searched for `limit` visible ones."""
    return 4 * limit + 4096


def _visible(text: str) -> str:
    text = _LINE_ENDS.sub("\n", _ANSI.sub("", text))
    text = _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))
    return text if text.isascii() else _few_marks(text)


def _few_marks(text: str) -> str:
    joining = {letter for letter in set(text) if _joins(letter)}
    letters, marks = [], 0
    for letter in text:
        marks = marks + 1 if letter in joining else 0
        if marks <= _MAX_MARKS:
            letters.append(letter)
    return "".join(letters)


def _lines(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in _visible(text).expandtabs(4).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def _joins(letter: str) -> bool:
    """Whether a character is drawn onto the previous one: a combining mark, or an emoji's skin tone."""
    return unicodedata.category(letter).startswith("M") or "\U0001f3fb" <= letter <= "\U0001f3ff"


def _cut(text: str, limit: int, *, complete: bool) -> str:
    if len(text) <= limit and complete:
        return text
    end = min(len(text), limit - 1)
    while 0 < end < len(text) and _joins(text[end]):
        end -= 1
    return text[:end].rstrip() + ELLIPSIS
