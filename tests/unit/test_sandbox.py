import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memfis.doctor.findings import Finding
from memfis.doctor.units import UNITS, examine_unit
from memfis.service.sandbox import Found, Way, hidden_by, hidden_here, unit_needs
from memfis.webroot import links
from memfis.webroot.links import places_on_the_way
from support.command import COMMAND, environment
from support.process import Process

NOT_ROOT = os.geteuid() != 0
OFF = {"ProtectHome": "read-only", "PrivateTmp": "no", "PrivateDevices": "no"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A web root behind two links, as tools that deploy make them."""
    tree = Path(os.path.realpath(tmp_path))
    (tree / "home" / "releases" / "1").mkdir(parents=True)
    (tree / "home" / "current").symlink_to("releases/1")
    (tree / "www").mkdir()
    (tree / "www" / "site").symlink_to(tree / "home" / "current")
    return tree


def test_the_way_to_a_root_is_the_kernels(tree: Path) -> None:
    places = places_on_the_way(os.fsencode(tree / "www" / "site"))
    passed = [Path(os.fsdecode(each)) for each in places]
    assert passed[0] == Path("/")
    for name in ("www", "home", "home/releases", "home/releases/1"):
        assert tree / name in passed
    assert passed[-1] == tree / "home" / "releases" / "1"
    assert tree / "www" / "site" not in passed


def found(*roots: str | Path) -> Found:
    """Ask as the play does: the module as a program, with nothing of ours around it."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", links.__file__, *map(str, roots)],
        capture_output=True,
        text=True,
        check=True,
    )
    told: Found = json.loads(done.stdout)
    return told


def test_what_the_play_asks_on_a_host(tree: Path) -> None:
    (tree / "turn").symlink_to("turn")
    (tree / "file").touch()
    (tree / "dangling").symlink_to("nowhere")
    names = ("www/site", "turn", "file", "file/below", "dangling", "new/site")
    ways = found(*(tree / name for name in names))["ways"]
    kinds = [ways[str(tree / name)]["kind"] for name in names]
    assert kinds == ["directory", "circle", "file", "file", "missing", "missing"]
    assert str(tree / "new" / "site") in ways[str(tree / "new" / "site")]["places"]


@pytest.mark.parametrize(
    ("places", "home", "tmp", "hidden"),
    [
        (["/", "/srv", "/srv/www"], False, False, []),
        (["/", "/srv", "/", "/home", "/home/a"], True, False, ["/root", "/run/user"]),
        (["/", "/tmp", "/", "/srv"], False, True, ["/var/tmp"]),
        (["/", "/root", "/var/tmp"], True, True, ["/home", "/run/user", "/tmp"]),
        (["/", "/homes/a"], False, False, []),
        (["/", "/data", "/data/home", "/data/home/a"], True, False, ["/root", "/run/user"]),
    ],
)
def test_a_unit_shows_what_is_passed_and_no_more(
    places: list[str], home: bool, tmp: bool, hidden: list[str]
) -> None:
    ways: dict[str, Way] = {"/r": {"kind": "directory", "places": places}}
    needs = unit_needs({"ways": ways, "real": {"/home": "/data/home"}})
    assert needs == {"home": home, "tmp": tmp, "hidden": hidden, "problems": []}


@pytest.mark.parametrize(
    ("kind", "places", "words"),
    [
        ("circle", ["/"], "circle"),
        ("file", ["/", "/srv/file"], "no directory"),
        ("directory", ["/", "/dev", "/dev/disk"], "/dev"),
        ("directory", ["/", "/usr/lib/modules", "/usr/lib/modules/6.1"], "modules"),
    ],
)
def test_what_no_unit_can_reach_is_said(kind: str, places: list[str], words: str) -> None:
    needs = unit_needs({"ways": {"/r": {"kind": kind, "places": places}}, "real": {}})
    [line] = needs["problems"]
    assert line.startswith("web root /r: ")
    assert words in line


def test_memory_that_is_called_a_device_can_be_reached() -> None:
    places = ["/", "/dev", "/dev/shm", "/dev/shm/site"]
    assert (
        unit_needs({"ways": {"/r": {"kind": "directory", "places": places}}, "real": {}})[
            "problems"
        ]
        == []
    )
    assert hidden_by(places, {"PrivateDevices": "yes"}) is None


@pytest.mark.parametrize(
    ("name", "value", "place", "hidden"),
    [
        ("ProtectHome", "yes", "/home/a", "/home"),
        ("ProtectHome", "tmpfs", "/home", "/home"),
        ("ProtectHome", "yes", "/run/user/7/x", "/run/user"),
        ("PrivateTmp", "yes", "/var/tmp/x", "/var/tmp"),
        ("PrivateTmp", "disconnected", "/tmp/x", "/tmp"),
        ("PrivateDevices", "yes", "/dev/disk/x", "/dev"),
        ("ProtectKernelModules", "yes", "/usr/lib/modules/x", "/usr/lib/modules"),
        ("InaccessiblePaths", "-/srv/a /srv/b", "/srv/a/x", "/srv/a"),
        ("TemporaryFileSystem", "/srv:ro", "/srv/x", "/srv"),
    ],
)
def test_what_a_property_hides(name: str, value: str, place: str, hidden: str) -> None:
    places = ["/", place, "/elsewhere"]
    assert hidden_by(places, OFF | {name: value}) == (hidden, f"{name}={value}")
    assert hidden_by(["/", "/elsewhere"], OFF | {name: value}) is None
    assert hidden_by(places, OFF) is None


def test_what_is_bound_over_it_is_seen() -> None:
    properties = {"ProtectHome": "tmpfs", "BindReadOnlyPaths": "/srv/a:/home/a:rbind"}
    assert hidden_by(["/home/a", "/home/a/site"], properties) is None
    assert hidden_by(["/home/b"], properties) == ("/home", "ProtectHome=tmpfs")


@pytest.fixture
def elsewhere(tree: Path) -> Iterator[Callable[[str], int]]:
    """Start a process that has mounts of its own, and return its number."""
    started: list[Process] = []

    def start(script: str) -> int:
        ready = tree / f"ready{len(started)}"
        command = ["unshare", "--mount", "sh", "-ec", f"{script}; touch {ready}; exec sleep 600"]
        started.append(Process(command, tree / "log"))
        started[-1].start(ready.exists)
        return started[-1].pid

    yield start
    for each in started:
        each.end()


@pytest.mark.skipif(NOT_ROOT, reason="only root may mount")
def test_the_doctor_looks_with_the_units_eyes(tree: Path, elsewhere: Callable[[str], int]) -> None:
    root = str(tree / "www" / "site")

    def examine(script: str) -> Finding:
        started = {"ExecMainStartTimestampMonotonic": "99999999999999"}
        properties = OFF | {"MainPID": str(elsewhere(script))} | started
        return examine_unit("site", root, properties, UNITS[0])

    for script in ("true", f"mount --bind {tree}/home {tree}/home"):  # as read-only is
        finding = examine(script)
        assert (finding.status, "as its process does" in finding.message) == ("ok", True)
    for script in (f"mount -t tmpfs none {tree}/home", f"mount -t tmpfs none {tree}/home/current"):
        finding = examine(script)
        assert finding.status == "problem"
        assert f"does not see the directory that {root} leads to" in finding.message


def test_the_doctor_goes_by_settings_that_are_to_come(tree: Path) -> None:
    """The process runs with others, or with none."""
    root = str(tree / "www" / "site")
    (tree / "unit").touch()
    properties = OFF | {"MainPID": "1", "FragmentPath": str(tree / "unit")}
    finding = examine_unit("site", root, properties, UNITS[0])
    assert (finding.status, "at its next start" in finding.message) == ("ok", True)
    finding = examine_unit("site", root, properties | {"InaccessiblePaths": str(tree)}, UNITS[0])
    assert finding.status == "problem"
    assert f"hides {tree}, which {root} leads through" in finding.message


@pytest.mark.skipif(NOT_ROOT, reason="only root may mount")
def test_the_agent_says_what_its_unit_hides(tree: Path) -> None:
    """With mounts as systemd makes them: of its own directory without any mode, and of /tmp."""
    inaccessible = tree / "run" / "systemd" / "inaccessible" / "dir"
    private = tree / "systemd-private-x" / "tmp"
    for made in (inaccessible, private):
        made.mkdir(parents=True)
    for source, why in (
        (inaccessible, "ProtectHome= or InaccessiblePaths="),
        (private, "PrivateTmp="),
    ):
        command = [*COMMAND, "sync", "--root", str(tree / "www" / "site"), "--name", "a"]
        done = subprocess.run(
            [
                *("unshare", "--mount", "sh", "-ec"),
                f'mount --bind {source} {tree}/home; exec "$@"',
                *("sh", *command),
            ],
            capture_output=True,
            text=True,
            env=environment(),
        )
        assert done.returncode == 2, done
        [line] = done.stderr.splitlines()
        assert f"{tree}/home is hidden from this process by its unit ({why})" in line
    assert hidden_here([os.fsencode(tree / "home")]) == ""
