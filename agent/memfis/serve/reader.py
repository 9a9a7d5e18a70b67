"""What reads pages in a private nginx: its Lua module, where it has one that it takes."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from memfis.errors import ProgramError
from memfis.serve.programs import find

PACKAGE = "libnginx-mod-http-lua"

MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
"""In the order in which nginx has to load them."""

LUA = Path(__file__).parents[1] / "lua"
"""The packages in Lua that nginx runs."""

_BUILT_IN = re.compile(r"--add-module=\S*(?:ngx_lua|lua-nginx)")
_PLACE = re.compile(r"--modules-path=(\S+)")


@dataclass(frozen=True)
class Reader:
    """What `from_memory` is, and what nginx has to load for it."""

    from_memory: str
    modules: tuple[str, ...] = ()


def choose(asked: str | None, directory: Path) -> Reader:
    """Return the reader that was asked for, or else Lua where nginx has it.

    nginx is asked with a configuration in `directory`. Raises ProgramError where Lua was asked for,
    and nginx does not take it.
    """
    if asked not in (None, "lua"):
        return Reader(asked)
    try:
        return Reader("lua", _modules(directory))
    except ProgramError:
        if asked:
            raise
    return Reader("memcached_pass")


def _modules(directory: Path) -> tuple[str, ...]:
    """Return the paths of the modules that nginx runs Lua by: none where it is built in."""
    nginx = find("nginx")
    built = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
    if _BUILT_IN.search(built):
        return ()
    place = _PLACE.search(built)
    modules = tuple(f"{place[1]}/{name}" for name in MODULES) if place else ()
    if not modules or not all(map(os.path.exists, modules)):
        raise ProgramError(f"nginx has no Lua module: try 'apt install {PACKAGE}'")
    configuration = directory / "modules.conf"
    configuration.write_text(
        "".join(f'load_module "{each}";\n' for each in modules)
        + f'pid "{directory}/modules.pid";\nevents {{}}\n'
    )
    command = [nginx, "-t", "-q", "-c", str(configuration), "-p", str(directory), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.partition("#")[2].partition(": ")[2] or done.stderr
        raise ProgramError(f"nginx does not take its Lua module: it said: {said.splitlines()[0]}")
    return modules


def copy_lua(directory: Path) -> None:
    """Copy what nginx runs into the new `directory`: its workers may not read where we are."""
    for source in (LUA / "memfis").glob("*.lua"):
        target = directory / "memfis" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
