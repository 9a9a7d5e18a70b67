"""A site without a disk: filled through its mount, served from the store. Before the store dies."""

import pytest

NAME = "files.example.org"
UNIT = f"memfis-mount-{NAME}"


@pytest.fixture(scope="module", autouse=True)
def content(host):
    """Copy a tree into the mount, as its owner."""
    host.check_output(
        "mkdir -p /root/tree/docs && cd /root/tree && cp /srv/www/docs/library/os.html docs &&"
        " cp /srv/www/docs/index.html . && cp index.html docs && echo secret > .secret &&"
        " echo draft > draft.html && chmod 600 draft.html && ln -sfn docs/os.html os.html &&"
        " chown -R www-data: /root/tree && chown root: /root/tree/draft.html && cp -a . /srv/files"
    )


@pytest.fixture
def get(fetch):
    return lambda path, **headers: fetch(path, NAME, **headers)


def test_mount_is_a_unit_that_runs_now_and_at_boot(host):
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled
    line = host.check_output("findmnt --noheadings --output FSTYPE,SOURCE,OPTIONS /srv/files")
    kind, source, options = line.split()
    assert (kind, source) == ("fuse.memfis", NAME)
    assert {"rw", "nosuid", "nodev", "noexec", "allow_other"} <= set(options.split(","))
    assert (host.file("/srv/files").user, host.file("/srv/files").mode) == ("www-data", 0o755)


def test_what_was_copied_is_all_there(host):
    assert host.run("diff --recursive --no-dereference /root/tree /srv/files").rc == 0
    find = "cd %s && find . -printf '%%P %%y %%m %%u %%g %%T@ %%l\\n' | grep -v '^ ' | sort"
    assert host.check_output(find, "/srv/files") == host.check_output(find, "/root/tree")


@pytest.mark.parametrize("path", ["/", "/index.html", "/docs/", "/docs/os.html", "/os.html"])
def test_copied_page_is_a_hit(host, get, path):
    answer = get(path)
    assert (answer.status, answer.source) == (200, "HIT")
    assert answer.headers["content-type"] == "text/html"
    file = "/srv/files" + (f"{path}index.html" if path.endswith("/") else path)
    assert answer.body == host.file(file).content
    packed = get(path, **{"Accept-Encoding": "gzip"})
    assert (packed.source, packed.headers["content-encoding"]) == ("HIT", "gzip")


@pytest.mark.parametrize("path", ["/.secret", "/draft.html", "/missing", "/docs/?attr", "/%3Fattr"])
def test_nothing_else_is_served(get, path):
    answer = get(path)
    assert answer.status == (200 if path == "/docs/?attr" else 404)
    assert b"memfis" not in answer.body


def test_changes_are_served_at_once(host, get):
    assert get("/docs").headers["location"] == "/docs/"
    host.check_output("echo one > /srv/files/new.html")
    assert get("/new.html").body == b"one\n"
    host.check_output("sed -i s/one/two/ /srv/files/new.html")
    assert get("/new.html").body == b"two\n"
    host.check_output("chmod o-r /srv/files/new.html")
    assert get("/new.html").status == 404
    host.check_output("rm /srv/files/new.html")


def test_visitor_has_the_page_or_a_part_of_it_already(get):
    page = get("/docs/os.html")
    etag = page.headers["etag"]
    again = get("/docs/os.html", **{"If-None-Match": etag})
    assert (again.status, again.source, again.body) == (304, "HIT", b"")
    rest = get("/docs/os.html", **{"Range": "bytes=1000-", "If-Range": etag})
    assert (rest.status, rest.source, rest.body) == (206, "HIT", page.body[1000:])


def test_owner_may_write_and_others_may_not(host):
    write = "runuser -u %s -- sh -c 'echo x > /srv/files/x.txt'"
    assert host.run(write, "nobody").rc != 0
    assert host.run(write, "www-data").rc == 0
    host.check_output("rm /srv/files/x.txt")


def test_store_keeps_what_it_has(host):
    line = host.check_output("pgrep --full --list-full /usr/bin/memcached")
    assert "--disable-evictions" in line
    found = host.run("runuser -u memfis -- memfis doctor --site %s", NAME)
    assert (found.rc, "evictions: off" in found.stdout) == (0, True), found.stdout


def test_mount_has_no_more_power_than_it_needs(host):
    pid = host.check_output("systemctl show --property=MainPID --value %s", UNIT)
    status = host.file(f"/proc/{pid}/status").content_string
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapBnd"], 16) == 1 << 21  # CAP_SYS_ADMIN, see linux/capability.h
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_mount_that_is_stopped_or_killed_comes_back_with_all(host, eventually):
    host.check_output("systemctl stop %s", UNIT)
    assert host.run("mountpoint --quiet /srv/files").rc != 0
    assert host.check_output("ls -A /srv/files") == ""
    host.check_output("systemctl start %s", UNIT)
    test_what_was_copied_is_all_there(host)
    host.check_output("systemctl kill --signal=KILL %s", UNIT)
    assert eventually(lambda: host.run("test -e /srv/files/index.html").rc == 0)
    test_what_was_copied_is_all_there(host)


def test_mount_by_its_type(host):
    host.check_output("mkdir -p /mnt/looked-at")
    host.check_output("mount -t memfis -o ro %s /mnt/looked-at", NAME)
    try:
        assert host.run("diff --recursive --no-dereference /root/tree /mnt/looked-at").rc == 0
        assert host.run("touch /mnt/looked-at/x").rc != 0
    finally:
        host.check_output("umount /mnt/looked-at")


def test_agent_leaves_it_alone(host, agent):
    assert "1 site left to a mount" in agent("StatusText")
    done = host.run("memfis sync --site %s", NAME)
    assert (done.rc, "filled through a mount" in done.stderr) == (2, True)


def test_records_contents_and_answers_agree(host):
    host.check_output("echo 127.0.0.1 %s >> /etc/hosts", NAME)
    for more in ("", f"--http http://{NAME}"):
        done = host.run(f"memfis verify --site {NAME} {more}")
        assert (done.rc, " 0 differ" in done.stdout) == (0, True), done.stdout
