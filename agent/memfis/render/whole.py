"""Whether a page is whole: an application that fails halfway sends the beginning with status 200.

The expressions are RE2's, which takes time in proportion to the page, whatever is in it.
"""

import re2

from memfis.render.rules import Refusal

_MARKUP = ("text/html", "application/xhtml+xml")

_COMMENT = rb"<!--(?:[^-]|-[^-]|--+[^->])*--+>"

_USUAL = "</html>"

_OPTIONS = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1  # bytes as they come
_OPTIONS.case_sensitive = False
_OPTIONS.log_errors = False

_BEGINS = re2.compile(
    rb"(?:\xEF\xBB\xBF)?(?:\s|" + _COMMENT + rb"|<!doctype[^>]*>|<\?[^>]*>)*<html[\s/>]", _OPTIONS
)
"""What may stand in front of the root element (HTML, 13.1; XML, 2.8), and its start tag."""

EMPTY = Refusal("an empty page")


class Wholeness:
    """Knows how the pages of a site end."""

    def __init__(self, page_end: str | None) -> None:
        """Take `page_end` as the setting has it."""
        self._for_all = page_end is not None
        self._end = (_USUAL if page_end is None else page_end).strip()
        ending = re2.escape(self._end.encode()) + rb"(?:\s|" + _COMMENT + rb")*\z"
        self._ends = re2.compile(ending, _OPTIONS)

    def check(self, media_type: str, body: bytes) -> Refusal | None:
        """Return what the page lacks, None if it is whole. `media_type`: its Content-Type."""
        if not body:
            return EMPTY
        if not self._end or media_type.partition(";")[0].strip().lower() not in _MARKUP:
            return None
        if not self._for_all and not _BEGINS.match(body):
            return None
        if self._ends.search(body):
            return None
        return Refusal(f"a page that does not end with {self._end[:50]}")
