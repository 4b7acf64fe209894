"""Markdown as GitHub shows it, near enough to look at and to test against."""

from __future__ import annotations

import cmarkgfm
import nh3
from cmarkgfm.cmark import Options

TAGS = """
a b blockquote br code del details em h1 h2 h3 h4 h5 h6 hr img input kbd li ol p pre s strong sub summary sup
table tbody td th thead tr ul
"""
ATTRIBUTES = {
    "a": {"href"},
    "td": {"align"},
    "th": {"align"},
    "details": {"open"},
    "code": {"class"},
    "pre": {"lang"},
    "img": {"src", "alt", "width", "height"},
}


def raw(markdown: str) -> str:
    """A comment's Markdown, rendered (newlines become `<br>`, as in comments)."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_HARDBREAKS | Options.CMARK_OPT_GITHUB_PRE_LANG
    return cmarkgfm.github_flavored_markdown_to_html(markdown, options)


def html(markdown: str) -> str:
    """The same, sanitised."""
    schemes = {"http", "https", "mailto"}
    return nh3.clean(raw(markdown), tags=set(TAGS.split()), attributes=ATTRIBUTES, url_schemes=schemes)
