import os

from memfis.service.mountinfo import MountLine, parse_mountinfo

# lines as Linux 6.1 writes them
MOUNTINFO = rb"""22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
41 22 0:39 / /srv/a\134b\011c rw,relatime shared:2 master:1 - cifs //files/my\040share rw
42 22 0:40 / /mnt rw - fuse.memfis site.example rw,user_id=0
43 42 0:41 / /tmp rw - tmpfs  rw
"""


def test_place_type_and_source_without_escapes() -> None:
    assert parse_mountinfo(MOUNTINFO) == [
        MountLine(b"/", "ext4", b"/dev/vda1", os.makedev(253, 1), b"22 /"),
        MountLine(b"/srv/a\\b\tc", "cifs", b"//files/my share", os.makedev(0, 39), b"41 /"),
        MountLine(b"/mnt", "fuse.memfis", b"site.example", os.makedev(0, 40), b"42 /"),
        MountLine(b"/tmp", "tmpfs", b"", os.makedev(0, 41), b"43 /"),
    ]
