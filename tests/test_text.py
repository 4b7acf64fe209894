"""Hostile text stays text, wherever it is shown."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from bs4 import BeautifulSoup, Comment
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.report.rendering import html
from validator import text

#: What someone would write to be taken for something else.
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- keras-validator:default -->",
    "--> out of the comment",
    "</details></summary></td></tr></table>",
    "@octocat @acme/team mail@example.com",
    "#1 GH-2 acme/widget#3 acme/widget@1234567",
    "1234567 deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    "https://evil.example www.evil.example ftp://evil.example mailto:a@b.example",
    "[click](https://evil.example) ![x](https://evil.example/x.png) [^1] [x]: /url",
    "`` ` ``` ````",
    "a | b \\| c \\\\| d",
    "**bold** __bold__ *it* _it_ ~~gone~~ $x^2$ :tada:",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "1) item",
    "> quote",
    "---",
    "===",
    ":---",
    "    code",
    "~~~",
    "&lt;b&gt; &#64;octocat &amp;amp;",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \x1b[2J",
    "user\u202egnp.exe \u2066x\u2069 zero\u200bwidth \ufefftag\U000e0041",
    "a\r\nb\rc\u2028d\u0085e\x00f\x07g\ud800h\ufffe",
    "e" + "\u0301" * 500,
    "line\n\n<b>second</b>\n\n```\nfence",
    "\\",
    "`",
    "|",
)
strings = st.one_of(
    st.text(alphabet=st.characters(codec=None), max_size=80),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map(" ".join),
    st.text(alphabet="`|\\<>!-[]()*_~#@&$:.\n 1aw=+", max_size=40),
)
MENTION = re.compile(r"(?<![\w`])@[a-z0-9]", re.IGNORECASE)
ISSUE = re.compile(r"#\d|\bGH-\d", re.IGNORECASE)


INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
#: What a report says all the time, and what is copied from it.
COPIED = (
    "keras-nightly==3.5.0.dev2024062903",
    "tensorflow-cpu==2.17.1+cu121",
    "1234567 of 12345678 parameters",
    "0.12345678 at 12:30:45",
    "keras/src/layers/attention.py:102:17: error",
    "git+https://github.com/keras-team/keras@v3.5.0#egg=keras",
    "https://pypi.example/simple/keras-3.5.0.tar.gz",
    "user@build-7.example:/srv/models/a|b@1.keras",
    "--only models/@v2/llama@keras-3.5.0+float32",
    "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
    "C:\\models\\www.keras #12 GH-3",
)


def in_a_table(cell: str) -> BeautifulSoup:
    return BeautifulSoup(html(f"| a | b |\n| --- | --- |\n| {cell} | end |\n"), "html.parser")


def assert_only_text(soup: BeautifulSoup, allowed: set[str]) -> None:
    assert {tag.name for tag in soup.find_all(True)} <= allowed
    assert not soup.find_all(string=lambda string: isinstance(string, Comment))
    for string in soup.find_all(string=True):
        if string.find_parent("code") is None:
            assert not MENTION.search(string)
            assert not ISSUE.search(string)


@given(strings, st.integers(10, 200))
def test_plain_is_one_line_of_visible_characters(value: str, limit: int) -> None:
    shown = text.plain(value, limit)
    assert len(shown) <= limit
    assert not [letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")]
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]", shown)
    assert text.plain(shown, limit) == shown


@given(strings)
@settings(max_examples=300)
def test_text_in_a_table_cell_is_only_text(value: str) -> None:
    soup = in_a_table(text.markdown_text(value, 500))
    assert_only_text(soup, {"table", "thead", "tbody", "tr", "th", "td", "code", "b"})
    cells = [cell.get_text() for cell in soup.find_all("td")]
    assert len(cells) == 2
    assert cells[0] == text.plain(value, 500)


@given(strings)
@settings(max_examples=300)
def test_text_that_starts_a_paragraph_is_only_text(value: str) -> None:
    shown = text.markdown_text(value, 500)
    soup = BeautifulSoup(html(f"before\n\n{shown}\n\nafter"), "html.parser")
    assert_only_text(soup, {"p", "code", "b"})
    assert "".join(soup.find_all("p")[1:-1][0].get_text() if shown else "") == text.plain(value, 500)


@given(strings)
@settings(max_examples=300)
def test_code_is_code_in_a_table_and_outside(value: str) -> None:
    shown = text.markdown_code(value, 500)
    wanted = text.plain(value, 500) or "–"
    for soup in (in_a_table(shown), BeautifulSoup(html(f"word {shown} word"), "html.parser")):
        assert_only_text(soup, {"table", "thead", "tbody", "tr", "th", "td", "p", "code", "b"})
        code = soup.find_all("code")
        assert len(code) == (1 if text.plain(value, 500) else 0)
        assert not code or code[0].get_text() == wanted
    assert len(in_a_table(shown).find_all("td")) == 2


@given(strings)
@example("```\n</details>\n````\n@octocat")
def test_a_fence_holds_everything(value: str) -> None:
    soup = BeautifulSoup(html(f"before\n\n{text.fence(value, 500)}\n\nafter"), "html.parser")
    assert [tag.name for tag in soup.find_all(True)] == ["p", "pre", "code", "p"]
    assert soup.find_all("code")[0].get_text().strip("\n") == text.multiline(value, 500)


@given(strings)
def test_html_text_is_only_text(value: str) -> None:
    page = html(f"<details><summary>{text.html_text(value, 500)}</summary>\n\nbody\n\n</details>")
    soup = BeautifulSoup(page, "html.parser")
    assert_only_text(soup, {"details", "summary", "p", "code"})
    summary = soup.find("summary")
    assert summary is not None
    assert summary.get_text().strip() == text.plain(value, 500)


SHOW = (text.markdown_text, text.markdown_code, text.html_text, text.html_code, text.fence)


@pytest.mark.parametrize("show", SHOW)
def test_nobody_can_forge_our_marker(show) -> None:
    assert "<!--" not in show("<!-- keras-validator:default -->", 200)


@pytest.mark.parametrize("show", SHOW)
@pytest.mark.parametrize("value", COPIED)
def test_what_is_copied_pastes_as_it_was(show, value: str) -> None:
    shown = show(value, 200)
    assert not INVISIBLE.search(shown)
    page = BeautifulSoup(html(f"word {shown} word" if show is not text.fence else shown), "html.parser")
    assert page.get_text().strip("\n").removeprefix("word ").removesuffix(" word") == value


@pytest.mark.parametrize("show", SHOW)
@given(value=strings)
@settings(max_examples=60)
def test_nothing_invisible_is_put_in(show, value: str) -> None:
    assert not INVISIBLE.search(show(value, 300))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ask (@octocat), or #12.", "ask (`@octocat`), or `#12`."),
        ("see https://evil.example/x; then", "see `https://evil.example/x`; then"),
        ("1234567 parameters", "`1234567` parameters"),
        ("a|b@c.d", "<code>a&#124;b@<b></b>c&#46;d</code>"),
    ],
)
def test_words_that_github_would_link_are_code(said: str, shown: str) -> None:
    assert text.markdown_text(said, 200).replace("\\(", "(").replace("\\)", ")") == shown


def test_in_the_text_of_a_link_nothing_is_linked() -> None:
    shown = text.markdown_text("keras#19920", 200, in_link=True)
    assert shown == "keras\\#19920"


def test_ordinary_words_are_left_alone() -> None:
    said = "Unknown layer: 'Attention', expected 3.5.0 or 0.341 - see the log; 1,203 of 3,600"
    assert text.markdown_text(said, 200) == said
    assert text.markdown_code("block_0/attention", 200) == "`block_0/attention`"


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    assert text.plain("abcdefgh", 5) == "abcd…"
    assert text.plain("abcde", 5) == "abcde"
    assert text.plain("aaae\u0301e\u0301", 5) == "aaa…"
    assert text.plain("xxx👍🏽👍🏽", 5) == "xxx…"


def test_few_marks_stay_on_a_character() -> None:
    assert len(text.plain("e" + "\u0300\u0323" * 200, 400)) <= 5


def test_the_first_line_that_says_something() -> None:
    assert text.first_line("\n \n\x1b[31m  ValueError:\tno  \x1b[0m\nmore") == "ValueError: no"
    assert text.first_line("\n\u200b\n") == ""


def test_the_tail_of_a_log_is_its_last_whole_lines() -> None:
    log = "\n".join(f"line {number}" for number in range(10_000))
    shown = text.tail(log, 60)
    assert len(shown) <= 60
    assert shown.startswith("…\nline ")
    assert shown.endswith("line 9999")
    assert text.tail("short", 60) == "short"
    assert text.tail("x" * 100, 60) == "…\n" + "x" * 58


@pytest.mark.parametrize(
    "unit", ["x", "\x1b[", "\x1b]8;", "`", "\u0301", "@a ", "<!--", "\n", "\u202e", "deadbeef ", ":a", "www."]
)
def test_ten_megabytes_cost_no_time(unit: str) -> None:
    value = unit * (10_000_000 // len(unit))
    start = time.perf_counter()
    for show in (text.plain, text.multiline, text.tail, text.markdown_text, text.markdown_code, text.fence):
        assert len(show(value, 300)) < 3000
    text.first_line(value)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://user:pass@host/x", "https://***@host/x"),
        ("git+https://token@github.com/a/b@main", "git+https://***@github.com/a/b@main"),
        ("git+ssh://git@github.com/a/b", "git+ssh://git@github.com/a/b"),
        ("https://u:p%40@h/ and http://v:q@i/", "https://***@h/ and http://***@i/"),
        ("https://user:p@ss@host/x", "https://***@host/x"),
        ("a @ https://host/b@1.0", "a @ https://host/b@1.0"),
        ("GET https://host/m.keras?X-Sig=ab&k=c answered 403", "GET https://host/m.keras?*** answered 403"),
        ("s3://bucket/a?versionId=3#sha256", "s3://bucket/a?***#sha256"),
        ("is it https://host/x?", "is it https://host/x?"),
        ("'https://u:p@h/f?token=1'", "'https://***@h/f?***'"),
    ],
)
def test_credentials_are_never_shown(written: str, shown: str) -> None:
    assert text.redact(written) == shown
