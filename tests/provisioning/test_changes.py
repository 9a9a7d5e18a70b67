"""What a run says of what it changes: the role's script that packs content, and its filters."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from memfis.nginx.site import render, site_variables
from memfis.settings.values import Site

PACK = Path(__file__).parents[2] / "roles" / "memfis" / "files" / "pack_site.py"
ITEM = {"name": "a.example"}


def packed(source: Path) -> str:
    archive = source.with_suffix(".tar")
    done = subprocess.run(
        [sys.executable, PACK, source, archive], check=True, capture_output=True, text=True
    )
    return done.stdout


def listed(text: str) -> dict[str, Any]:
    """Return what slurp says of the list that an earlier run has left."""
    return {"item": ITEM, "content": base64.b64encode(text.encode()).decode()}


def test_which_content_changes(tmp_path: Path, role_filters: Any) -> None:
    source = tmp_path / "site"
    (source / "old").mkdir(parents=True)
    for name in ("same.html", "other.html", "old/a.html"):
        (source / name).write_text(name)
    (source / "link").symlink_to("same.html")
    before = packed(source)

    def said(*earlier: dict[str, Any]) -> Any:
        now = [{"item": ITEM, "stdout": packed(source)}]
        return role_filters.content_changes(earlier, now)

    assert said(listed(before)) == []
    (source / "other.html").write_text("OTHER.html")
    (source / "old" / "a.html").unlink()
    (source / "old").rmdir()
    (source / "link").unlink()
    (source / "link").symlink_to("other.html")
    for number in range(12):
        (source / f"new{number:02}.html").touch()
    assert said(listed(before)) == [
        "a.example: 12 new: "
        + ", ".join(f"new{number:02}.html" for number in range(10))
        + ", and 2 more",
        "a.example: 2 changed: link, other.html",
        "a.example: 2 gone: old/, old/a.html",
    ]
    # Version 0.1.0 left names alone; a first run found nothing.
    [new, gone] = said(listed(json.dumps(list(json.loads(before)))))
    assert new.startswith("a.example: 12 new: ")
    assert gone == "a.example: 2 gone: old/, old/a.html"
    [new] = said({"item": ITEM, "failed": True})
    assert new.startswith("a.example: 15 new: link, ")


def site_file(types: dict[str, str], **settings: Any) -> str:
    site = Site(name="a.example", root="/srv/a", store="memcached:///run/m.sock", origin="/run/o")
    made = site_variables(site, ["80"], ["a.example"], "")
    return render("site.conf.j2", site={**made, "types": types, **settings})


def test_a_diff_of_a_site_has_no_walls(role_filters: Any) -> None:
    many = {f"x{number}": "text/plain" for number in range(300)}
    before = site_file({**many, "md": "text/plain"})
    assert role_filters.site_changes(before, before) == []
    lines = role_filters.site_changes(before, site_file({**many, "md": "text/markdown"}))
    assert [line for line in lines if line.startswith("+ ") and "media types" in line]
    assert len(lines) < 30
    whole = role_filters.site_changes("", before)
    assert max(map(len, whole)) < 130
    assert len(whole) < len(before.splitlines())
    # What a person wrote is there.
    lines = role_filters.site_changes(before, site_file({**many, "md": "text/plain"}, root="/b"))
    assert [line for line in lines if line[0] == "+" and "/b" in line]
