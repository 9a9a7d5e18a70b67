"""Content that comes with a site (`src`): packed, unpacked and synced as a play does it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from support.command import memfis_json
from support.directory import reachable_directory
from support.memcached import Memcached

ROOT = Path(__file__).parents[2]
PACK = ROOT / "roles" / "memfis" / "files" / "pack_site.py"


def deploy(source: Path, web_root: Path) -> bool:
    """Do what the role's `configure_content.yml` does; return whether it says `changed`."""
    archive = source.with_suffix(".tar")
    subprocess.run([sys.executable, PACK, source, archive], check=True, capture_output=True)
    ansible = Path(sys.executable).with_name("ansible")
    done = subprocess.run(
        [
            *(ansible, "localhost", "--connection", "local"),
            *("--module-name", "ansible.builtin.unarchive"),
            *("--args", f"src={archive} dest={web_root}"),
            *("--extra-vars", f"ansible_python_interpreter={sys.executable}"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    told = re.search(r'"?changed"?: (true|false)', done.stdout)
    assert told, done.stdout
    return told[1] == "true"


def test_a_redeploy_with_pinned_times_is_seen() -> None:
    """As content stores, images and reproducible builds make them: every time is the same."""
    with reachable_directory() as directory:
        memcached = Memcached(directory)
        memcached.start()
        source, web_root = directory / "source", directory / "root"
        source.mkdir()
        web_root.mkdir()
        named = (
            "--root",
            web_root,
            "--name",
            "a.example",
            "--store",
            f"memcached://{memcached.socket}",
        )

        def release(version: str) -> bool:
            for name in ("index.html", "other.html"):
                (source / name).write_text(f"version {version if name < 'j' else 'any'}")
                os.utime(source / name, (1, 1))
            return deploy(source, web_root)

        try:
            assert release("1.2.3")
            [report] = memfis_json("sync", *named)["sites"]
            assert report["added"] == 2
            assert not release("1.2.3")
            assert release("1.2.4")
            [report] = memfis_json("sync", *named)["sites"]
            assert (report["changed"], report["unchanged"]) == (1, 1)
        finally:
            memcached.end()
