"""What a unit of systemd hides from its processes (systemd.exec(5)), and so from a web root's way.

Read by the role's filters too: only Python's standard library is needed.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TypedDict

HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome= hides."""

TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 (what PrivateTmp= puts others over)

DEVICES = "/dev"
SHOWN_DEVICES = ("/dev/shm", "/dev/hugepages", "/dev/mqueue", "/dev/pts")  # noqa: S108
"""What of it PrivateDevices= leaves."""

MODULES = ("/usr/lib/modules", "/lib/modules")
"""What ProtectKernelModules= hides."""

PROPERTIES = (
    *("ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelModules"),
    *("InaccessiblePaths", "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths"),
)
"""Of a unit, as `systemctl show` names them: what `hidden_by` wants to know."""


class Way(TypedDict):
    """How a web root is reached, as webroot/links.py tells the play."""

    kind: str
    """`directory`, `missing`, `file`, or `circle`."""
    places: list[str]
    """The directories that are passed, and the last; absolute, free of links."""


class Found(TypedDict):
    """What the play finds out on a host."""

    ways: dict[str, Way]
    """By web root."""
    real: dict[str, str]
    """What the directories lead to that a unit may hide."""


class Needs(TypedDict):
    """What the agent's unit must let it see."""

    home: bool
    """Something of HOMES."""
    tmp: bool
    """Something of TEMPORARY."""
    hidden: list[str]
    """What of these need not be shown with it."""
    problems: list[str]
    """A line for each web root that no unit of ours reaches."""


_INACCESSIBLE = b"/systemd/inaccessible/"
_PRIVATE = b"/systemd-private-"
"""What the roots of mounts are called that systemd makes for it (proc_pid_mountinfo(5))."""

_OFF = ("", "no", "read-only")


def hidden_by(places: Collection[str], properties: Mapping[str, str]) -> tuple[str, str] | None:
    """Return which place is hidden, and the property that hides it; None: `places` are all seen.

    `places`: directories that are passed on the way to a web root, absolute and free of links.
    `properties`: PROPERTIES of a unit.
    """
    shown = [
        each.removeprefix("-").split(":")[1 if ":" in each else 0]
        for name in ("BindPaths", "BindReadOnlyPaths")
        for each in properties.get(name, "").split()
    ]
    if properties.get("PrivateDevices", "no") not in _OFF and any(map(_is_device, places)):
        return DEVICES, f"PrivateDevices={properties['PrivateDevices']}"
    for name, hidden in _hidden(properties):
        # systemd follows links too, where it hides something
        for place in (hidden, os.path.realpath(hidden)):
            for passed in places:
                if is_in(passed, place) and not any(is_in(passed, each) for each in shown):
                    return hidden, f"{name}={properties[name]}"
    return None


def _hidden(properties: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield each property that hides something, and what."""
    for name, places in (
        ("ProtectHome", HOMES),
        ("PrivateTmp", TEMPORARY),
        ("ProtectKernelModules", MODULES[:1]),
    ):
        if properties.get(name, "") not in _OFF:
            yield from ((name, place) for place in places)
    for name in ("InaccessiblePaths", "TemporaryFileSystem"):
        for each in properties.get(name, "").split():
            yield name, each.lstrip("-+").split(":")[0]


def unit_needs(found: Found) -> Needs:
    """Return what the agent's unit must let it see of what the play `found` on a host."""
    ways, real = found["ways"], found["real"]
    places = [each for way in ways.values() for each in way["places"]]
    needed = {
        each
        for each in (*HOMES, *TEMPORARY)
        if any(is_in(place, each) or is_in(place, real.get(each, each)) for place in places)
    }
    home, tmp = not needed.isdisjoint(HOMES), not needed.isdisjoint(TEMPORARY)
    candidates = (HOMES if home else ()) + (TEMPORARY if tmp else ())
    return {
        "home": home,
        "tmp": tmp,
        "hidden": [each for each in candidates if each not in needed],
        "problems": [line for root, way in ways.items() for line in _impossible(root, way)],
    }


def _impossible(root: str, way: Way) -> Iterable[str]:
    kind, places = way["kind"], way["places"]
    if kind == "circle":
        yield f"web root {root}: its symbolic links go in a circle"
    elif kind == "file":
        yield f"web root {root}: is there and no directory"
    elif any(_is_device(place) for place in places):
        yield (
            f"web root {root}: leads into /dev, where the agent's unit has devices of its own"
            " (PrivateDevices=): let the site be elsewhere"
        )
    elif any(is_in(place, hidden) for place in places for hidden in MODULES):
        yield (
            f"web root {root}: leads to the kernel's modules, which the agent's unit hides"
            " (ProtectKernelModules=): let the site be elsewhere"
        )


def _is_device(place: str) -> bool:
    return (
        is_in(place, DEVICES)
        and place != DEVICES
        and not any(is_in(place, each) for each in SHOWN_DEVICES)
    )


def is_in(place: str, directory: str) -> bool:
    """Whether `place` is `directory` or below."""
    return place == directory or place.startswith(directory.rstrip("/") + "/")


def hidden_here(places: Iterable[bytes], mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """Return what systemd hides of `places` from this process, in words; empty: nothing."""
    try:
        lines = [line.split(b" ")[3:5] for line in mountinfo.read_bytes().splitlines()]
    except OSError:
        return ""
    for root, point in lines:
        why = _why(root)
        if why and any(is_in(os.fsdecode(place), os.fsdecode(point)) for place in places):
            return (
                f"{os.fsdecode(point)} is hidden from this process by its unit ({why}): run the"
                " play again, or change the unit (systemctl edit)"
            )
    return ""


def _why(root: bytes) -> str:
    if _INACCESSIBLE in root:
        return "ProtectHome= or InaccessiblePaths="
    return "PrivateTmp=" if re.search(_PRIVATE, root) else ""
