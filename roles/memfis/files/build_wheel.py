#!/usr/bin/env python3
"""Build a wheel of memfis, once for each state of its sources.

build_wheel.py SOURCES CACHE prints the path of the wheel. SOURCES is a checkout, or the collection
as it is installed. The wheel's directory is named after the SHA-256 of everything that goes into
it, so that what is there already need not be built again and a host can tell by the name alone
whether it has this agent.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from importlib.util import find_spec
from pathlib import Path

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "agent", "templates", "lua")


def source_digest(sources: Path) -> str:
    """Return the SHA-256 over names and contents of what the wheel is made of."""
    digest = hashlib.sha256()
    for source in SOURCES:
        top = sources / source
        files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        for path in sorted(files):
            if "__pycache__" in path.parts:
                continue
            content = path.read_bytes()
            digest.update(f"{path.relative_to(sources)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def wheel_in(directory: Path) -> Path | None:
    """Return the wheel in `directory`, None when there is none."""
    return next(iter(sorted(directory.glob("*.whl"))), None)


def pip(directory: Path) -> list[str]:
    """Return the command that is pip: this Python's, or that of an environment in `directory`.

    Empty where there is none and none can be made: Ansible of a distribution's package needs none.
    """
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if not find_spec("ensurepip"):
        return []
    venv.create(directory / "venv", with_pip=True)
    return [str(directory / "venv" / "bin" / "python"), "-m", "pip"]


def main(sources: Path, cache: Path) -> int:
    """Print the path of the wheel; the exit code says whether there is one."""
    if not (sources / "pyproject.toml").is_file():
        print(
            f"{sources} has no sources of memfis: no pyproject.toml. Set memfis_agent_source to a "
            "checkout, or memfis_agent_requirement to what pip is to install.",
            file=sys.stderr,
        )
        return 1
    directory = cache / source_digest(sources)[:16]
    if not wheel_in(directory):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as building:
            command = pip(Path(building))
            if not command:
                print(
                    f"{sys.executable} has no pip to build the agent with. Install it "
                    "(apt-get install python3-pip), or set memfis_agent_requirement to what pip "
                    "is to install on the host.",
                    file=sys.stderr,
                )
                return 1
            command += ["wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
            done = subprocess.run(
                [*command, "--wheel-dir", building, str(sources)],
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
