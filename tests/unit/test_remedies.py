"""What is not in memory has a remedy that is told, where there is one."""

import re
from pathlib import Path

import pytest

import memfis
from memfis.render import remedies
from memfis.webroot import obstacle

AGENT = Path(memfis.__file__).parent


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("Cache-Control: private", "everybody"),
        ("Cache-Control that cannot be read", "RFC 9111"),
        ("CDN-Cache-Control that cannot be read", "RFC 9213"),
        ("header link", "'headers'"),
        ("beyond 100 pages (max_pages)", "max_pages"),
        ("status 404", ""),
        ("a file on disk", ""),
    ],
)
def test_what_helps_a_page(reason: str, word: str) -> None:
    assert word in remedies.remedy(reason)
    assert bool(word) == bool(remedies.remedy(reason))


WITHOUT = {"status {status}", "a file on disk", "{field}: {name}"}
"""Nothing helps against these, or the rest of the reason says what does."""


def test_every_reason_of_a_refusal_is_known() -> None:
    source = "".join(path.read_text() for path in (AGENT / "render").glob("*.py"))
    reasons = set(re.findall(r'Refusal\(f?"([^"]+)"', source)) - WITHOUT
    assert len(reasons) > 10
    assert [each for each in reasons if not remedies.remedy(each)] == []


def test_every_reason_of_a_listing_is_known() -> None:
    source = "".join((AGENT / "webroot" / name).read_text() for name in ("root.py", "child.py"))
    reasons = set(re.findall(r'return f?"([^"]+)"|reason = "([^"]+)"', source))
    words = {one or other for one, other in reasons}
    assert len(words) > 5
    assert [each for each in words if not obstacle.remedy(each)] == []
