"""What is wrong with one answer of a site, which is compared with what its origin says."""

import http.client

from memfis.catalog.source import Source, declared_source
from memfis.check.asking import Answer, ask, said
from memfis.check.expectation import Target
from memfis.nginx.switch import off_since
from memfis.settings.nginx_lines import directives
from memfis.settings.values import Site

_OWN_SAY = (401, 403, 429)
"""Who may ask, and how often, is decided by address and by more that the origin does not see."""

_EXTRA = 'Lines of the site\'s own ("extra")'
"""What templates/nginx/site.conf.j2 writes before them."""


class Judge:
    """Knows what answers of one site are to be like; `text` is the site's file in nginx."""

    def __init__(self, site: Site, text: str) -> None:
        self._site = site
        self._is_off = off_since(site.name) is not None
        self._has_lines_of_its_own = _EXTRA in text
        self._has_tls = " ssl" in text
        # In which nginx tells HIT from FALLBACK; empty: it does not.
        self.header = next(
            (
                words[1]
                for blocks, words in directives(text)
                if blocks == ("server",)
                and words[0] == "add_header"
                and words[2].startswith("$memfis_header_")
            ),
            "",
        )

    def compared(
        self, url: str, host: str, target: Target, answer: Answer
    ) -> tuple[str | None, str]:
        """Return what is wrong with `answer`, if anything, and where it came from."""
        served_by = answer.served_by
        if self.is_redirect(url, answer):
            return None, served_by
        made_for = self._site.php.canonical.rstrip("/") if self._site.php else None
        is_own = made_for is not None and not url.startswith(f"{made_for}/")
        if is_own or answer.status in _OWN_SAY or _wants_certificate(answer):
            # A request that PHP answers for itself, or nginx by rules of its own.
            return (None if answer.status < 502 else f"status {answer.status}"), served_by
        if not self._site.in_memory:
            # It has no listener that is the disk alone, as it is nothing else.
            return (None if answer.status < 500 else f"status {answer.status}"), served_by
        expected = self._expected(host, target)
        if isinstance(expected, str):
            return expected, served_by
        if not self.header and answer.status == 200 and self._site.from_memory != "lua":
            # The disk alone gives validators. By Lua nothing tells where an answer is from.
            is_hit = expected.validated and not answer.validated
            served_by = "HIT" if is_hit else "FALLBACK" if answer.validated else ""
        if answer.status in (502, 504):
            return f"status {answer.status}", served_by
        if expected.status not in _OWN_SAY:
            if answer.status != expected.status:
                return (
                    f"status {answer.status}, where {self._right} has {expected.status}",
                    served_by,
                )
            may_vary = made_for is not None or self._site.runs_scripts
            differs = answer.status == 200 and answer.body != expected.body
            if differs and not may_vary:
                return f"another page than {self._right} has", served_by
        is_due = answer.status == 200 and target.content is not None and not self._is_off
        if is_due and served_by == "FALLBACK" and not self._has_lines_of_its_own:
            return "not from memory, though it is there", served_by
        return None, served_by

    @property
    def _right(self) -> str:
        return "the disk" if declared_source(self._site) is Source.ROOT else "the store"

    def _expected(self, host: str, target: Target) -> Answer | str:
        """Return the right answer, or why it is not known."""
        if declared_source(self._site) is Source.STORE:
            status = 404 if target.content is None else 200
            return Answer(status, target.content or b"", "", "HIT", validated=False)
        try:
            return ask(f"unix:{self._site.origin}", host, target.path)
        except (OSError, http.client.HTTPException) as error:
            return f"its origin listener {self._site.origin} does not answer: {said(error)}"

    def is_redirect(self, url: str, answer: Answer) -> bool:
        """Whether a visitor by plain HTTP is sent to HTTPS."""
        return (
            self._has_tls
            and url.startswith("http://")
            and answer.status in (301, 302, 307, 308)
            and answer.location.startswith("https://")
        )


def _wants_certificate(answer: Answer) -> bool:
    return answer.status == 400 and b"SSL certificate" in answer.body
