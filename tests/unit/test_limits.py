import pytest

from memfis.errors import SafetyError, UsageError
from memfis.sync.limits import CALM, DEFAULT_MAX_DELETE, Deletions, MaxDelete


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
        with pytest.raises(SafetyError, match="nothing was changed"):
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


class Run:
    """A site of 100 pages that is watched, and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pages = 100
        self.deletions = Deletions("a.example", DEFAULT_MAX_DELETE, lambda: self.now)

    def delete(self, number: int) -> None:
        self.deletions.check(number, self.pages)
        self.pages -= number


def test_many_small_deletions_in_a_row_are_one_large_one() -> None:
    run = Run()
    for _ in range(10):
        run.delete(5)
    with pytest.raises(SafetyError, match="would delete 55 of 100"):
        run.delete(5)
    run.now += CALM - 1
    with pytest.raises(SafetyError):  # as long as it goes on
        run.delete(5)
    run.now += CALM - 1
    with pytest.raises(SafetyError):
        run.delete(5)


def test_a_refused_run_lasts_until_it_is_meant_or_made_up_for() -> None:
    run = Run()
    run.delete(50)
    with pytest.raises(SafetyError):
        run.delete(10)
    run.now += CALM + 1
    with pytest.raises(SafetyError, match="would delete 60 of 100"):
        run.delete(10)
    run.pages += 20
    run.delete(10)
    run.now += CALM + 1
    run.delete(30)  # of the 60 that there are now


def test_a_calm_ends_a_run_of_deletions() -> None:
    run = Run()
    run.delete(50)
    run.now += CALM + 1
    run.delete(25)


def test_what_was_added_again_is_no_loss() -> None:
    run = Run()
    for _ in range(10):  # checkouts to and fro
        run.delete(40)
        run.pages += 40
    run.delete(50)
    with pytest.raises(SafetyError):
        run.delete(1)


def test_deletions_that_were_meant_do_not_count() -> None:
    run = Run()
    run.delete(50)
    run.pages = 30  # by a sync that was asked for
    run.deletions.begin_anew()
    run.delete(1)
