"""What to repeat a run by."""

import pytest

from differential import seeds


def pytest_report_header(config: pytest.Config) -> str:
    return seeds.header()
