"""The documentation names files that are there, and every room of the package."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "roles/*/README.md") for path in ROOT.glob(pattern)
)
INDEX = ROOT / "docs" / "architecture.md"
MAP = ROOT / "docs" / "architecture" / "map.md"
PACKAGE = ROOT / "agent" / "memfis"


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of a document, as they are made of them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_where_to_look_for_what_one_wants_to_change() -> None:
    text = INDEX.read_text()
    table = text[text.index("## You want to change …") :]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE)[2:]
    assert len(rows) > 20
    for wanted, places in rows:
        named = re.findall(r"`([^`]+)`", places)
        assert named, wanted
        for place in named:
            path = ROOT / place
            assert path.is_dir() if place.endswith("/") else path.is_file(), place


def test_every_room_is_on_the_map_and_has_its_layer() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    text = MAP.read_text()
    table = text[text.index("| layer | rooms |") : text.index("- `keeper/` stands")]
    assert set(re.findall(r"`(\w+)/`", table)) == rooms
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [each["layers"] for each in contracts if each["name"].startswith("layers of")]
    checked = {name.removeprefix("memfis.") for row in layers for name in row.split(" | ")}
    assert checked - {"__main__", "errors"} == rooms


def test_every_module_says_first_what_it_is_for() -> None:
    for path in PACKAGE.rglob("*.py"):
        first = path.read_text().split("\n", 1)[0]
        assert first.startswith('"""') or path.name == "__main__.py", path
