"""The version is one, wherever it is told."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml

from memfis import __version__
from support.command import memfis

ROOT = Path(__file__).parents[2]


def test_changelog_collection_and_command_tell_the_version() -> None:
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == __version__
    assert memfis("--version").stdout.split()[-1] == __version__


def test_the_wheel_is_named_after_the_version(tmp_path: Path) -> None:
    build = "from hatchling.build import build_wheel; print(build_wheel(__import__('sys').argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    name = done.stdout.split()[-1]
    assert name == f"memfis-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name) as wheel:
        metadata = wheel.read(f"memfis-{__version__}.dist-info/METADATA").decode()
        assert f"\nVersion: {__version__}\n" in metadata
        # What nginx is configured from comes with it.
        assert "memfis/templates/nginx/site.conf.j2" in wheel.namelist()
