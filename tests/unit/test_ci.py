import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / ".ci" / "durations.py"


@pytest.fixture(scope="module")
def durations() -> ModuleType:
    """The module, which is no package's."""
    spec = importlib.util.spec_from_file_location("durations", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("minutes", [0, 45, 70])
def test_ci_may_take_up_to_70_minutes(durations: ModuleType, minutes: int) -> None:
    assert durations.too_long(minutes * 60) is None


@pytest.mark.parametrize("seconds", [70 * 60 + 1, 89 * 60])
def test_ci_that_takes_longer_says_how_long_and_what_the_limit_is(
    durations: ModuleType, seconds: float
) -> None:
    said = durations.too_long(seconds)
    assert "70:00" in said
    assert durations.clock(seconds) in said
    assert "\n" not in said


def test_the_longest_session_comes_first_and_the_total_last(durations: ModuleType) -> None:
    took = {"lint": 42.4, "hosts": 754.0, "pythons(debian:13)": 61.0}
    lines = [line.split() for line in durations.table(took, 3909.6)]
    assert [line[0] for line in lines] == ["hosts", "pythons(debian:13)", "lint", "all,"]
    assert [line[-1] for line in lines] == ["12:34", "1:01", "0:42", "65:10"]
