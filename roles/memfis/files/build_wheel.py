#!/usr/bin/env python3
"""Build a wheel of a memfis checkout, once for each state of its sources.

build_wheel.py CHECKOUT CACHE prints the path of the wheel. Its directory is named after the
SHA-256 of everything that goes into it, so that what is there already need not be built again and
a host can tell by the name alone whether it has this agent.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "agent", "templates")


def source_digest(checkout: Path) -> str:
    """Return the SHA-256 over names and contents of what the wheel is made of."""
    digest = hashlib.sha256()
    for source in SOURCES:
        top = checkout / source
        files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        for path in sorted(files):
            if "__pycache__" in path.parts:
                continue
            content = path.read_bytes()
            digest.update(f"{path.relative_to(checkout)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def wheel_in(directory: Path) -> Path | None:
    """Return the wheel in `directory`, None when there is none."""
    return next(iter(sorted(directory.glob("*.whl"))), None)


def main(checkout: Path, cache: Path) -> int:
    """Print the path of the wheel; the exit code says whether there is one."""
    if not (checkout / "pyproject.toml").is_file():
        print(
            f"{checkout} is no memfis checkout: it has no pyproject.toml. Set memfis_agent_source "
            "to one, or memfis_agent_requirement to what pip is to install.",
            file=sys.stderr,
        )
        return 1
    directory = cache / source_digest(checkout)[:16]
    if not wheel_in(directory):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as building:
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
            done = subprocess.run(
                [*command, "--wheel-dir", building, str(checkout)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            built = wheel_in(Path(building))
            if done.returncode or not built:
                print(f"{' '.join(command)} failed:\n{done.stdout}", file=sys.stderr)
                return 1
            directory.mkdir(exist_ok=True)
            os.replace(built, directory / built.name)
    print(wheel_in(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
