import pytest

from memfis.errors import SafetyError, UsageError
from memfis.sync.limits import DEFAULT_MAX_DELETE, MaxDelete


@pytest.mark.parametrize(
    ("limit", "deleted", "recorded", "published", "refused"),
    [
        ("10", 10, 100, 90, False),
        ("10", 11, 100, 89, True),
        ("50%", 50, 100, 50, False),
        ("50%", 51, 100, 49, True),
        ("50%", 3, 4, 1, False),  # a small site may change its few pages
        ("50%", 3, 3, 0, True),  # but an empty web root is a mistake
        ("100%", 3, 3, 0, False),
        ("0", 1, 100, 99, True),
        ("50%", 0, 0, 0, False),
    ],
)
def test_the_limit(limit: str, deleted: int, recorded: int, published: int, refused: bool) -> None:
    check = MaxDelete.parse(limit)
    if refused:
        with pytest.raises(SafetyError, match="nothing was written"):
            check.check("a.example", deleted, recorded, published)
    else:
        check.check("a.example", deleted, recorded, published)


@pytest.mark.parametrize("text", ["", "-1", "101%", "5 %", "all"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="max-delete"):
        MaxDelete.parse(text)


def test_the_default_protects() -> None:
    with pytest.raises(SafetyError):
        DEFAULT_MAX_DELETE.check("a.example", 100, 100, 0)
