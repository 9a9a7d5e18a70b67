"""Instructions of nginx for a hit, by Lua and by what one would use instead.

    python bench/instructions.py [--requests 1000] [--only NAME] [--profiles DIRECTORY]

Counted by valgrind's callgrind, so they are the same on a busy machine. They are nginx's own, not
the kernel's or the store's: ratios are not those of processor time. The ways and pages are
those of `bench/serving.py`. What is copied by `rep movsb` counts as an instruction a byte: most of
what a page of 100 KB costs. Needs what bench/serving.py needs, and valgrind; MEMFIS_PATIENCE=300
on a machine that is so busy that nginx does not start below it in 20 seconds.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import aligned
from serving import BASELINE, PACKED, SIZES, Way, etag, ways
from support.http import Connection

WAYS = (
    *("Lua, stored gzip", "Lua", "Lua, 304"),
    *("memory, stored gzip", "memory", PACKED, BASELINE, "disk, 304"),
)
WARM = 500
"""Requests, after which LuaJIT has compiled what it compiles."""
CONNECTION = 500
"""Requests over one connection: nginx takes 1,000."""
TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)


def below_valgrind(directory: Path) -> None:
    """Let an nginx that is started from now on be one process, whose instructions are counted."""
    nginx = shutil.which("nginx") or sys.exit("nginx is missing")
    valgrind = shutil.which("valgrind") or sys.exit("valgrind is missing")
    started = directory / "nginx"
    started.write_text(
        f"#!/bin/sh\necho $$ > {directory}/pid\n"
        f"exec {valgrind} -q --tool=callgrind --callgrind-out-file={directory}/profile"
        f" {nginx} -g 'master_process off;' \"$@\"\n"
    )
    started.chmod(0o755)
    os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"


def ask(way: Way, size: int, requests: int) -> None:
    """Ask `requests` times; fail when an answer is none of those that are wanted."""
    headers = {"Accept-Encoding": "gzip"} if way.compressed else {}
    if way.condition:
        headers["If-None-Match"] = etag(way, size)
    wanted = 304 if way.condition else 200
    for start in range(0, requests, CONNECTION):
        with Connection(("127.0.0.1", way.port)) as connection:
            for _ in range(min(CONNECTION, requests - start)):
                answer = connection.ask(f"/{way.path}{size}.html", headers=headers, host="bench")
                if answer.status != wanted or answer.source == "FALLBACK":
                    sys.exit(f"{way.name}: {answer.status} {answer.source}")


def main() -> None:
    """Count for every way and size, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1000, help="that are counted, of each kind")
    parser.add_argument("--only", choices=WAYS, help="one way", metavar="NAME")
    parser.add_argument("--profiles", type=Path, help="where to put what callgrind_annotate reads")
    options = parser.parse_args()
    rows = [["instructions of a hit", *SIZES]]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        below_valgrind(directory)
        with ways() as (every, _):
            pid = (directory / "pid").read_text().strip()

            def tell(command: str) -> None:
                told = ["vgdb", f"--pid={pid}", command]
                subprocess.run(told, check=True, capture_output=True)

            for way in every:
                if way.name not in ([options.only] if options.only else WAYS):
                    continue
                rows.append([way.name])
                for label, size in SIZES.items():
                    ask(way, size, WARM)
                    tell("zero")
                    ask(way, size, options.requests)
                    tell(f"dump {way.name}, {label}")
                    (profile,) = directory.glob("profile.*")
                    found = TOTALS.search(profile.read_text())
                    assert found is not None
                    rows[-1].append(f"{int(found[1]) / options.requests:,.0f}")
                    if options.profiles is not None:
                        shutil.move(profile, options.profiles / f"{way.name}, {label}")
                    else:
                        profile.unlink()
    print(aligned(rows))


if __name__ == "__main__":
    main()
