"""Untrusted text, made safe for every place that displays it.

Whoever opens a pull request writes the names of models, layers, packages and branches, errors and logs. The
result hides no characters, does not reorder or restyle its surroundings, and becomes no markup, link,
mention or marker of ours. Nothing invisible is put into it either: what is copied from it pastes as it was.
The work is bounded by the limit, however long the text.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from html import escape

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


def markdown_text(value: str, limit: int, *, in_link: bool = False) -> str:
    """`plain` text that Markdown displays literally: in a paragraph, list or table cell, at its start or not.

    GitHub renders no mention, issue, commit, link, formula, emoji, image, HTML or comment from it: what could
    become one is shown as code, where GitHub looks for none. In the text of a link it does not look either,
    so `in_link` leaves such words as they are.
    """
    text = plain(value, limit)
    text = _escaped(text) if in_link else _in_words(text, _escaped, _code)
    # What begins a list, or underlines a heading or table.
    text = re.sub(r"^([-+](?=[ -]|$)|=|:(?=-))", r"\\\1", text)
    return re.sub(r"^(\d{1,9})\.(?= |$)", r"\1\\.", text)


def markdown_code(value: str, limit: int) -> str:
    """`plain` text as inline code, for a paragraph or a table cell; an en dash if it is empty."""
    return _code(plain(value, limit)) or "–"


def html_text(value: str, limit: int) -> str:
    """`plain` text for HTML inside Markdown, such as `<summary>`, where Markdown's escapes do not apply."""
    return _in_words(plain(value, limit), escape, lambda word: f"<code>{escape(word)}</code>")


def html_code(value: str, limit: int) -> str:
    """`plain` text as code for the same places; an en dash if it is empty."""
    text = plain(value, limit)
    return f"<code>{escape(text)}</code>" if text else "–"


def fence(value: str, limit: int, language: str = "text") -> str:
    """`multiline` text as a fenced block that nothing in it can close. `language` must be trusted."""
    text = multiline(value, limit)
    if "<!--" in text:  # a fence shows it as it is, and it could be taken for a marker
        return f"<pre><code>{escape(text)}\n</code></pre>"
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


_MARKDOWN = {mark: f"\\{mark}" for mark in "\\`*_~[]()!#"} | {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "|": "&#124;",  # the same inside and outside a table
    "$": "&#36;",  # GitHub typesets formulas
}
#: What GitHub makes a mention, a reference, a link or an emoji of.
_LINKED = re.compile(
    r"@|\#\d|\bGH-\d|://|\bwww\.|\b(?:mailto|xmpp):|\b[0-9a-f]{7,40}\b|:[\w+-]{1,40}:", re.IGNORECASE
)
#: What Markdown reads between tags of HTML; an empty element, which is not copied, parts an address.
_READ = re.compile(r"(?<=[\w.+-])@(?=\w)|[!#$&*.:<>\[\\\]^_`{|}~]")
_UNREAD = {"@": "@<b></b>"}
_BEFORE, _BEHIND = "\"'([{", "\"')]},.;!?"


def _in_words(text: str, show: Callable[[str], str], show_linked: Callable[[str], str]) -> str:
    """The text, with words that GitHub would link shown in another way than the rest."""
    if not _LINKED.search(text):
        return show(text)
    return " ".join(
        _word(word, show, show_linked) if _LINKED.search(word) else show(word) for word in text.split(" ")
    )


def _word(word: str, show: Callable[[str], str], show_linked: Callable[[str], str]) -> str:
    start = len(word) - len(word.lstrip(_BEFORE))
    end = len(word.rstrip(_BEHIND))
    return show(word[:start]) + show_linked(word[start:end]) + show(word[end:])


def _escaped(text: str) -> str:
    return re.sub(r"""[\\`*_~\[\]()!#<>&|$]""", lambda match: _MARKDOWN[match[0]], text)


def _code(text: str) -> str:
    """One line as inline code."""
    if "|" in text or "<!--" in text:
        # A table displays the backslash that escapes a pipe, or splits at the pipe; in backticks a marker
        # would stand as it is. Between these tags Markdown still reads, and looks for addresses of e-mail.
        return f"<code>{_READ.sub(lambda match: _UNREAD.get(match[0], f'&#{ord(match[0])};'), text)}</code>"
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}" if text else ""


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _reach(limit: int) -> int:
    """How many characters are searched for `limit` visible ones."""
    return 4 * limit + 4096


@functools.lru_cache(maxsize=256)  # a report shows the same names and errors in several places
def _visible(text: str) -> str:
    text = _LINE_ENDS.sub("\n", _ANSI.sub("", text))
    text = _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))
    marks = "" if text.isascii() else re.escape("".join(filter(_joins, set(text))))
    return re.sub(f"([{marks}]{{{_MAX_MARKS}}})[{marks}]+", r"\1", text) if marks else text


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
