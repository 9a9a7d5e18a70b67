"""The doctor's arithmetic and parsers; what it says is in tests/integration/test_doctor.py."""

import pytest

from memfis.doctor.examination import advised_limits
from memfis.doctor.kernel import Limit, WatchLimits
from memfis.doctor.memory import PAGE, Slabs, SlabSettings
from memfis.service.mountinfo import parse_mountinfo
from memfis.watch.mounts import Mount, mounts_among

# lines as Linux 6.1 writes them
MOUNTINFO = rb"""22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw - proc proc rw
41 22 0:39 / /srv/www rw,relatime shared:2 - tmpfs tmpfs rw
42 41 0:40 / /srv/www rw,relatime shared:3 - nfs4 files:/www rw,vers=4.2
43 42 0:41 / /srv/www/my\040site/media rw - fuse.sshfs backup:/media rw
44 42 0:42 / /srv/www/my\040site2 rw - cifs //files/2 rw
45 22 0:43 / /srv/www-other rw - 9p other rw
"""


@pytest.mark.parametrize(
    ("root", "mounts"),
    [
        (b"/", [("/", "ext4"), "/proc", "/srv/www", "media", "site2", "-other"]),
        (b"/srv", [("/", "ext4"), "/srv/www", "media", "site2", "-other"]),
        (b"/srv/www/my site", [("/srv/www", "nfs4"), "media"]),
        (b"/srv/www/my site/media/x", [("media", "fuse.sshfs")]),
        (b"/srv/www-another", [("/", "ext4")]),
    ],
)
def test_mounts_of_a_web_root(root: bytes, mounts: list[tuple[str, str] | str]) -> None:
    found = mounts_among(parse_mountinfo(MOUNTINFO), root)
    assert len(found) == len(mounts)
    for mount, expected in zip(found, mounts, strict=True):
        point, kind = expected if isinstance(expected, tuple) else (expected, mount.type)
        assert mount.point.decode().endswith(point)
        assert mount.type == kind


def test_the_upper_of_two_mounts_counts() -> None:
    assert mounts_among(parse_mountinfo(MOUNTINFO), b"/srv/www") == [
        Mount(b"/srv/www", "nfs4"),
        Mount(b"/srv/www/my site/media", "fuse.sshfs"),
        Mount(b"/srv/www/my site2", "cifs"),
    ]


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        *(("nfs", True), ("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("fuse", True)),
        *(("9p", True), ("ext4", False), ("fuseblk", False), ("overlay", False), ("tmpfs", False)),
    ],
)
def test_file_systems_that_others_change(kind: str, shared: bool) -> None:
    assert Mount(b"/", kind).is_shared is shared


def test_limits_are_advised_only_where_they_are_too_low() -> None:
    limits = WatchLimits(Limit("watches", 1000), Limit("instances", 2))
    assert advised_limits(1000, 2, limits) == {}
    assert advised_limits(1001, 2, limits) == {"watches": 2048}
    assert advised_limits(1025, 3, limits) == {"watches": 4096, "instances": 8}
    assert advised_limits(1025, 3, None) == {}


@pytest.mark.parametrize(
    ("key", "value", "pages"),
    [
        # sizes and chunks of memcached 1.6.18: `stats slabs` after one `ms` each
        (250, 10, 1),
        (1, 600_000, 3),
        (1, 1_500_000, 3),
    ],
)
def test_pages_of_one_item(key: int, value: int, pages: int) -> None:
    slabs = Slabs(SlabSettings(item_limit=20 * 1024 * 1024))
    assert slabs.add(key, value, flags=True)
    assert slabs.memory == pages * PAGE


@pytest.mark.parametrize(("steps", "pages"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_an_item_that_grew_leaves_a_page_where_it_was_smaller(steps: int, pages: int) -> None:
    slabs = Slabs(SlabSettings())
    assert slabs.add(60, 3000, flags=False, appends=steps)
    assert slabs.memory == pages * PAGE


def test_an_item_over_the_limit_takes_nothing() -> None:
    slabs = Slabs(SlabSettings())
    assert not slabs.add(10, 1024 * 1024, flags=True)
    assert (slabs.memory, slabs.items) == (0, 0)


def test_settings_as_stats_tell_them() -> None:
    told = {"growth_factor": "1.08", "chunk_size": "100", "cas_enabled": "no", "other": "?"}
    assert SlabSettings.of(told) == SlabSettings(1.08, 100, cas=False)


@pytest.mark.parametrize(
    "told",
    [
        {"chunk_size": "many"},
        {"slab_chunk_max": "16"},  # bytes, of a memcached with -o slab_chunk_max=16
        {"slab_chunk_max": "2097152"},
        {"growth_factor": "1"},
    ],
)
def test_settings_that_make_no_sense(told: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"many|make no sense"):
        SlabSettings.of(told)
