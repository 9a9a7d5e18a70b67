#!/usr/bin/env python3
"""Pack a site's content on the controller: pack_site.py DIRECTORY ARCHIVE.

The archive depends on the content alone: sorted, owned by root, readable by all (nginx among
them). Prints the archive's names as a JSON object, so that the host can remove what it was given
earlier and is not given any more; the value of each tells one content from another. A directory's
name ends in a slash.
"""

import hashlib
import json
import os
import stat
import sys
import tarfile
from pathlib import Path


def members(directory: Path) -> list[Path]:
    """Return what is below `directory`, without what a web root cannot have (sockets, devices)."""
    found = []
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
                found.append(path)
            else:
                print(f"{path}: neither file, directory nor link: left out", file=sys.stderr)
    return sorted(found)


def is_directory(path: Path) -> bool:
    """Return whether `path` is a directory itself, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def content(path: Path) -> str:
    """Return what differs where the content of `path` does."""
    if path.is_symlink():
        return f"to {os.readlink(path)}"
    if path.is_dir():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(directory: Path, archive: Path) -> int:
    """Write `archive` by rename, as several hosts may have the same site packed at a time."""
    if not directory.is_dir():
        print(f"src {directory}: there is no such directory on the controller", file=sys.stderr)
        return 1

    def readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mode = 0o755 if member.isdir() else 0o777 if member.issym() else 0o644
        member.mtime = int(member.mtime)
        return member

    names = {}
    archive.parent.mkdir(parents=True, exist_ok=True)
    new = archive.with_name(f"{archive.name}.{os.getpid()}")
    with tarfile.open(new, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in members(directory):
            name = str(path.relative_to(directory))
            names[f"{name}/" if is_directory(path) else name] = content(path)
            tar.add(path, arcname=name, recursive=False, filter=readable)
    os.replace(new, archive)
    json.dump(names, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
