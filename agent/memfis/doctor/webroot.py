"""Would a site with a web root fit: permissions, key lengths, item sizes and file systems."""

import os
import pwd
from collections.abc import Iterator

from memfis.doctor.census import Cases, Census
from memfis.doctor.findings import Finding, Status, counted, examples
from memfis.layout.paths import shown, size
from memfis.watch.mounts import Mount
from memfis.webroot import Reader
from memfis.webroot.obstacle import remedy


def this_user() -> str:
    """Return the name of the user that runs this process."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def check_webroot(
    name: str, census: Census, reader: Reader, mounts: list[Mount]
) -> Iterator[Finding]:
    """Yield what there is to say of the site `name`, but for its memory."""
    content = f"{counted(census.files, 'file')} with {size(census.bytes)} would be in memory"
    if census.files:
        yield _finding(name, "web root", "ok", content)
    else:
        advice = "is this the right 'root', and is it filled?"
        yield _finding(name, "web root", "warning", content, advice)
    for reason, cases in census.skipped.items():
        yield _finding(
            name, "settings", "ok", f"{cases.number:,} left to disk: {reason}", cases=cases
        )
    user = this_user()
    for reason, cases in census.problems.items():
        advice = remedy(reason).replace("USER", user)
        yield _finding(
            name, "files", "warning", f"{cases.number:,} left to disk: {reason}", advice, cases
        )
    yield from _permissions(name, census, reader, user)
    for mount in mounts:
        yield _file_system(name, mount)


def _permissions(name: str, census: Census, reader: Reader, user: str) -> Iterator[Finding]:
    if census.unreadable.number:
        yield _finding(
            name,
            "permissions",
            "warning",
            f"{census.unreadable.number:,} left to disk: nginx's user {reader.name} can read them,"
            f" this user, {user}, cannot",
            f"add {user} to the group of these files, or: setfacl -R -m u:{user}:rX DIRECTORY",
            census.unreadable,
        )
    elif os.geteuid() == 0 and reader.uid != 0:
        yield _finding(
            name,
            "permissions",
            "ok",
            "root reads everything: what the agent's own user cannot read is found by running this"
            " as that user",
        )
    else:
        yield _finding(name, "permissions", "ok", f"read as {user}, served as {reader.name}")


def _file_system(name: str, mount: Mount) -> Finding:
    where = f"{mount.type} at {shown(mount.point)}"
    if mount.is_shared:
        return _finding(
            name,
            "file system",
            "warning",
            f"{where}: changes made on other hosts send no events here; the agent finds them by"
            " looking over everything every few seconds",
            "run 'memfis sync' after such changes, or serve from a local file system",
        )
    if mount.type == "overlay":
        return _finding(
            name,
            "file system",
            "ok",
            f"{where}: changes are seen, but not those made in lower layers",
        )
    return _finding(name, "file system", "ok", f"{where}: changes are seen as they happen")


def _finding(
    name: str,
    check: str,
    status: Status,
    message: str,
    advice: str = "",
    cases: Cases | None = None,
) -> Finding:
    return Finding(name, check, status, message, advice, examples(cases.examples if cases else []))
