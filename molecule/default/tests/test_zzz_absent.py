"""`memfis_state: absent`: last of all, as nothing is there any more afterwards."""

from pathlib import Path

from support.left import left, left_files

FILES = Path(__file__).parents[3] / "roles" / "memfis" / "files"
CONTROL = """\
Package: needs-memcached
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Depends: memcached
Description: as somebody else installs it
"""
SITES = "memfis_absent_sites=plain"
PLAIN = "/etc/nginx/sites-available/added.example.org.conf"


def test_nothing_is_thrown_away_that_is_nowhere_else(host, fetch, play, sites):
    site = "--site files.example.org --store memcached:///run/memfis-store/memcached.sock /mnt/kept"
    host.check_output(f"mkdir /mnt/kept && memfis mount {site}")
    host.check_output("echo kept >/mnt/kept/page.html && umount /mnt/kept")
    done = play(sites[:1], "--extra-vars=memfis_state=absent")
    assert done.returncode != 0
    told = " ".join(done.stdout.split())  # Ansible breaks long lines
    assert "holds the files of files.example.org, which are nowhere else" in told
    assert fetch("/").source == "HIT"


def test_packages_stay_that_others_need(host):
    host.check_output(
        "mkdir -p /root/needs/DEBIAN && printf %s >/root/needs/DEBIAN/control", CONTROL
    )
    host.check_output("dpkg-deb --build /root/needs && dpkg --install /root/needs.deb")
    script = (FILES / "packages_needed.py").read_text()
    said = host.check_output("python3 -c %s /var/lib/memfis/installed", script).splitlines()
    host.check_output("dpkg --purge needs-memcached")
    assert said == [
        "needs-memcached cannot be without what the role has installed",
        "nginx, which the role has installed, serves /etc/nginx/sites-enabled/foreign, too",
    ]


def test_all_is_gone_but_what_is_somebodys(host, fetch, play, sites):
    added = {"server_names": ["added.example.org"], "root": "/srv/www/added"}
    host.check_output(
        "mkdir -p /srv/www/added && cd /srv/www/added && touch upload.txt"
        " && printf '<p>second</p>' >index.html"
    )
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

    assert left_files(host) == []
    assert "memfis" not in host.check_output("ls /run")
    for kind in ("users", "groups"):
        assert left(host, kind) == {"memcache"}, kind
    assert not [line for line in left(host, "units") if "memfis" in line]
    # Nobody has used the package's own service.
    assert "memcached.service disabled" in left(host, "units")
    assert all("nginx" in line for line in left(host, "listeners"))
    assert not host.run("pgrep --full '[m]emfis-store|/opt/[m]emfis'").stdout
    assert host.check_output("systemctl --failed --no-legend --plain") == ""

    done = play([sites[0], added], f"--extra-vars={variables}")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout, done.stdout
