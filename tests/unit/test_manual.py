"""The manual pages: as the commands and settings are, and as man and mandoc want them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from memfis.commands import COMMANDS, manual
from memfis.settings.agent import SITE_IN_TOML

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted((CHECKOUT / manual.PLACE).iterdir())


def test_the_pages_are_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manual.main(["--check", str(CHECKOUT)]) == 0, capsys.readouterr().out
    place = tmp_path / manual.PLACE
    place.mkdir(parents=True)
    assert manual.main(["--check", str(tmp_path)]) == 1
    assert list(place.iterdir()) == []
    assert manual.main([str(tmp_path)]) == 0
    assert sorted(each.name for each in place.iterdir()) == [each.name for each in PAGES]
    assert manual.main(["--check", str(tmp_path)]) == 0


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_shows_them_without_a_warning(page: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(
        ["man", "--warnings", "--local-file", page],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stderr == ""
    shown = [line.strip() for line in done.stdout.splitlines()]
    if page.name == "memfis.1":
        for name in COMMANDS:
            assert any(line.startswith(f"memfis {name} [OPTIONS]") for line in shown), name
        assert "--interval SECONDS" in done.stdout
    else:
        for setting in SITE_IN_TOML.settings:
            assert any(line.split()[:1] == [setting.name] for line in shown), setting.name


@pytest.mark.skipif(not shutil.which("mandoc"), reason="needs mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_no_fault(page: Path) -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", os.fspath(page)]
    done = subprocess.run(command, capture_output=True, text=True)
    # They change with the program, on no date of their own.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
