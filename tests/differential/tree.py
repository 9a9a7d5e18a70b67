"""A web root with every case that answers were once wrong for, and targets that lead to them."""

import os
import random
from pathlib import Path

_RANDOM = random.Random(12)
TEXT = " ".join(str(_RANDOM.random()) for _ in range(600)).encode()
NOISE = _RANDOM.randbytes(20_000)
LARGE = _RANDOM.randbytes(400_000)
"""More than `max_page`: left to the disk."""

FILES: dict[bytes, bytes] = {
    b"index.html": b"<!doctype html>" + TEXT,
    b"page.html": b"<!doctype html><p>" + TEXT,
    b"small.html": b"<!doctype html><p>small, and not worth compressing",
    b"style.css": TEXT,
    b"app.js": TEXT,
    b"data.json": TEXT,
    b"README": TEXT,
    b"image.png": NOISE,
    b"archive.tar.gz": NOISE,
    b"noise.txt": NOISE,
    b"short.css": b"a{}",
    b"large.bin": LARGE,
    b"large.txt": LARGE,
    b"empty.txt": b"",
    b"empty.html": b"",
    b"docs/index.html": b"<!doctype html>docs" + TEXT,
    b"docs/page.html": b"<!doctype html>docs/page" + TEXT,
    b"second/index.htm": b"<!doctype html>second" + TEXT,
    b"both/index.html": b"<!doctype html>first" + TEXT,
    b"both/index.htm": b"<!doctype html>second" + TEXT,
    b"noindex/file.txt": TEXT,
    b"errors/lost.html": b"<!doctype html>lost" + TEXT,
    # S1: times of long ago, and none
    b"times/one.html": TEXT,
    b"times/zero.html": TEXT,
    b"times/before.css": TEXT,
    b"times/later.css": TEXT,
    # S9: what other sites refuse; dotfiles; server-side sources
    b".hidden": b"hidden",
    b".git/config": b"hidden",
    b".well-known/security.txt": TEXT,
    b"docs/.well-known/x": TEXT,
    b"script.php": b"<?php echo 1;",
    b"old.php.bak": b"<?php echo 1;",
    b"old.php~": b"<?php echo 1;",
    b"cov/Foo.php.html": TEXT,
    b"util.inc.gcov.html": TEXT,
    b"d.php.txt": TEXT,
    b"tool.phar.asc": TEXT,
    b"v1.php/page.html": TEXT,
    # S11: types
    b"types/a.mjs": TEXT,
    b"types/a.webmanifest": TEXT,
    b"types/a.wasm": TEXT,
    b"types/a.avif": NOISE,
    b"types/a.woff2": NOISE,
    b"types/a.svg": TEXT,
    b"types/a.unknown": TEXT,
    b"types/a.HTML": TEXT,
    b"types/a.": TEXT,
    # S12: index names that are no files
    b"isdir/index.html/file.txt": TEXT,
    b"isdir2/index.htm/file.txt": TEXT,
    b"isdir3/index.html/file.txt": TEXT,
    b"isdir3/index.htm": TEXT,
    # names
    b"a b.html": TEXT,
    b"100%.html": TEXT,
    b"%41.html": TEXT,
    b"A.html": TEXT + b"A",
    "ü/ñ.html".encode(): TEXT,
    b"na\xefve.html": TEXT,
    b"new\nline.html": TEXT,
    b"tab\t.html": TEXT,
    b"question?.html": TEXT,
    b"hash#.html": TEXT,
    b"semi;colon=1.html": TEXT,
    b"plus+.html": TEXT,
    b'quote".html': TEXT,
    b"back\\slash.html": TEXT,
    b"dots..html": TEXT,
    b"...": TEXT,
    b"trailing.": TEXT,
    b"x" * 200 + b".html": TEXT,
}

LINKS = {
    b"link.html": b"page.html",
    b"linked": b"docs",
    b"docs/up": b"../second",
    b"linkindex/index.html": b"../docs",
    b"filelink/index.html": b"../page.html",
    b"dangling/index.html": b"nowhere",
    b"circle/index.html": b"index.html",
    b"broken": b"nowhere",
    b"loop": b"loop",
}

TIMES = {
    b"times/one.html": 1_000_000_000,
    b"times/zero.html": 0,
    b"times/before.css": -86_400,
    b"times/later.css": 4_000_000_000,
}
"""Seconds; of all else it is TIME."""
TIME = 1_700_000_000


def make(root: Path) -> None:
    """Make the tree in `root`, an empty directory."""
    top = os.fsencode(root)
    for name, content in FILES.items():
        file = Path(os.fsdecode(os.path.join(top, name)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        time = TIMES.get(name, TIME)
        os.utime(file, (time, time))
    for name, target in LINKS.items():
        link = os.path.join(top, name)
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, link)
    for path in ("secret.html", "unreadable/index.html"):
        file = root / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"secret")
        file.chmod(0)
    (root / "closed").mkdir()
    (root / "closed/page.html").write_bytes(b"secret")
    (root / "closed").chmod(0o700)
    (root / "emptydir").mkdir()
