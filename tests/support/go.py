"""Programs in Go, built once from modules at fixed versions."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

CAVES = "github.com/couchbaselabs/gocaves"
CAVES_VERSION = "v0.0.1-75"
CAVES_SUM = "h1:sj3J47k6fo49wC4oR+o4cLmsujraZQKaeuML+g7tA+A="
"""What the checksum database of Go modules has for it, too."""

_ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": ""}
"""The installed Go, whatever a module asks for, and nobody's own options."""


def client() -> Path:
    """Return the program of tests/goclient."""
    source = TESTS / "goclient"
    program, missing = _place("goclient", *sorted(source.iterdir()))
    with missing as needed:
        if needed:
            _go(source, "build", "-o", f"{program}.new", ".")
            os.rename(f"{program}.new", program)
    return program


def caves() -> Path:
    """Return the program of tests/gocaves, which takes two minutes to build.

    Its module is no library: a file has to be generated in it, and it replaces a module of its own
    by a directory that it does not have. So what is built is a copy.
    """
    source = TESTS / "gocaves" / "main.go"
    program, missing = _place(f"gocaves-{CAVES_VERSION}", source)
    with missing as needed:
        if needed:
            with tempfile.TemporaryDirectory() as directory:
                _build_caves(Path(directory, "module"), source, program)
    return program


def _build_caves(copy: Path, source: Path, program: Path) -> None:
    told = json.loads(_go(TESTS, "mod", "download", "-json", f"{CAVES}@{CAVES_VERSION}"))
    assert told["Sum"] == CAVES_SUM, told
    shutil.copytree(told["Dir"], copy, copy_function=shutil.copyfile)
    for each in (copy, *copy.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    _go(copy, "mod", "edit", f"-dropreplace={CAVES}/client")
    _go(copy, "run", "-mod=mod", "./tools/prebuildstep.go")
    place = copy / "cmd" / "memfis"
    place.mkdir()
    shutil.copy(source, place)
    _go(copy, "build", "-mod=mod", "-o", f"{program}.new", "./cmd/memfis")
    os.rename(f"{program}.new", program)


class _Missing:
    """Held while a program is built: tests run in several processes."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def __enter__(self) -> bool:
        self._program.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._program.with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if not shutil.which("go"):
            self._lock.close()
            pytest.skip("needs Go")
        return not self._program.exists()

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def _place(name: str, *sources: Path) -> tuple[Path, _Missing]:
    """Return where the program made of `sources` is kept, beside what Go itself keeps."""
    content = hashlib.sha256(b"\0".join(each.read_bytes() for each in sources)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    program = cache / "memfis-tests" / f"{name}-{content[:12]}"
    return program, _Missing(program)


def _go(directory: Path, *words: str) -> str:
    done = subprocess.run(
        ["go", *words],
        cwd=directory,
        env=os.environ | _ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
