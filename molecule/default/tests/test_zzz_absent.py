"""`memfis_state: absent`: last of all, as nothing is there any more afterwards."""

SITES = "memfis_absent_sites=plain"
PLAIN = "/etc/nginx/sites-available/added.example.org.conf"

# What apt, systemd, nginx, pip or Ansible leave that no package lists, or what the other tests of
# this host have put there.
NOT_OURS = (
    "/etc/.pwd.lock",
    "/etc/alternatives/",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/ld.so.cache",
    "/etc/memcached.conf",
    "/etc/nginx/modules-enabled/",
    "/etc/nginx/sites-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/etc/systemd/system/multi-user.target.wants/",
    "/etc/rc",
    "/home/deploy",
    "/mnt/",
    "/root/",
    "/srv/",
    "/usr/lib/python3",
    "/usr/local/lib/python3",
    "/usr/share/",
    "/var/lib/",
    "/var/www",
)


def left(host, before, kind):
    """Return what the host has of `kind` and had not before the first play."""
    lines = host.check_output("sh /root/what-is-there %s", kind).splitlines()
    return set(lines) - set(host.file(f"{before}/{kind}").content_string.splitlines())


def test_nothing_is_thrown_away_that_is_nowhere_else(host, fetch, play, sites):
    site = "--site files.example.org --store memcached:///run/memfis-store/memcached.sock /mnt/kept"
    host.check_output(f"mkdir /mnt/kept && memfis mount {site}")
    host.check_output("echo kept >/mnt/kept/page.html && umount /mnt/kept")
    done = play(sites[:1], "--extra-vars=memfis_state=absent")
    assert done.returncode != 0
    told = " ".join(done.stdout.split())  # Ansible breaks long lines
    assert "holds the files of files.example.org, which are nowhere else" in told
    assert fetch("/").source == "HIT"


def test_all_is_gone_but_what_is_somebodys(host, fetch, play, sites):
    added = {"server_names": ["added.example.org"], "root": "/srv/www/added"}
    variables = f"memfis_state=absent memfis_absent_stored=true {SITES}"
    done = play([sites[0], added], f"--extra-vars={variables}")
    assert done.returncode == 0, done.stdout

    # The sites are as they were, by nginx alone.
    answer = fetch("/", "added.example.org")
    assert (answer.status, answer.source, answer.body) == (200, None, b"<p>second</p>")
    assert fetch("/library/os.html").status == 200
    assert fetch("/", "foreign", port=8081).body == b"foreign\n"
    text = host.file(PLAIN).content_string
    assert "memcached" not in text
    assert "/run/" not in text
    assert host.file("/srv/www/added/upload.txt").exists

    before = "/root/before-memfis"
    packaged = set(host.check_output("cat /var/lib/dpkg/info/*.list").splitlines())
    packaged |= {f"/usr{path}" for path in packaged}  # /bin and the like are links
    files = left(host, before, "files") - packaged
    assert not [path for path in files if "memfis" in path and not path.startswith("/root/")]
    assert sorted(path for path in files if not path.startswith(NOT_OURS)) == []
    assert "memfis" not in host.check_output("ls /run")
    for kind in ("users", "groups", "units"):
        assert not [line for line in left(host, before, kind) if "memfis" in line], kind
    assert {line.partition(":")[0] for line in left(host, before, "users")} == {"memcache"}
    assert left(host, before, "groups") == {"memcache"}
    # Nobody has used the package's own service.
    assert "memcached.service disabled" in left(host, before, "units")
    assert all("nginx" in line for line in left(host, before, "listeners"))
    assert not host.run("pgrep --full '[m]emfis-store|/opt/[m]emfis'").stdout
    assert host.check_output("systemctl --failed --no-legend --plain") == ""

    done = play([sites[0], added], f"--extra-vars={variables}")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout, done.stdout
