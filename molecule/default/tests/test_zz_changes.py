"""What an administrator does next. Runs the playbook, so it comes last (files run by name)."""

from contextlib import contextmanager

AVAILABLE = "/etc/nginx/sites-available"
ENABLED = "/etc/nginx/sites-enabled"


def listing(host):
    """What nginx and the agent are to serve."""
    command = "cd /etc/nginx && sha256sum /etc/memfis/memfis.toml sites-available/* && ls -l %s"
    return host.check_output(command, "sites-enabled/")


def test_broken_site_is_rolled_back(host, fetch, play, sites, agent, eventually):
    before, process = listing(host), agent("MainPID")
    broken = [
        *sites[:-1],
        {**sites[-1], "extra": "no_such_directive on;"},
        {"server_names": ["new.example.org"], "root": "/srv/www/new"},
    ]
    done = play(broken)
    assert done.returncode != 0
    assert 'unknown directive "no_such_directive"' in done.stdout
    assert "The sites are as they were" in done.stdout
    assert listing(host) == before
    assert host.run("nginx -t").rc == 0
    assert fetch("/").source == "HIT"
    # And the agent keeps these sites, not those of the list.
    assert agent("MainPID") == process
    host.check_output("echo edited >>/srv/www/docs/index.html")
    page = host.file("/srv/www/docs/index.html").content
    assert eventually(lambda: (fetch("/").source, fetch("/").body) == ("HIT", page))


def test_what_does_not_fit_the_host_is_told_before_anything_is_changed(host, play):
    before = listing(host)
    host.check_output("systemd-run --unit=squatter python3 -m http.server --bind 0.0.0.0 8099")
    try:
        done = play([{"server_names": ["new"], "root": "/srv/www/new", "listen": ["8099"]}])
    finally:
        host.check_output("systemctl stop squatter")
    assert done.returncode != 0
    assert "memfis_sites: 3 of the 3 sites of this host would be taken away (docs." in done.stdout
    assert "set memfis_sites_remove: true" in done.stdout
    assert "memfis_sites[0].listen: '8099': python3 (process " in done.stdout
    assert ", squatter.service) listens there; stop it, or let the site" in done.stdout
    assert "changed=0" in done.stdout
    assert listing(host) == before


def test_port_of_another_program_is_rolled_back(host, fetch, play, sites):
    before = listing(host)
    host.check_output("systemd-run --unit=squatter python3 -m http.server --bind 0.0.0.0 8099")
    try:
        # Where the play does not see it.
        new = {"server_names": ["new"], "root": "/srv/www/new", "extra": "listen 8099;"}
        done = play([*sites, new])
    finally:
        host.check_output("systemctl stop squatter")
    assert done.returncode != 0
    assert "bind() to 0.0.0.0:8099 failed" in done.stdout
    assert listing(host) == before
    assert fetch("/").source == "HIT"


def test_mistakes_in_the_list_are_all_told_at_once(play):
    done = play(
        [
            {"server_names": ["A_b"], "root": "relative"},
            {"server_names": ["twice.example.org"], "root": "/srv/www/a"},
            {"server_names": ["twice.example.org"], "root": "/srv/www/../etc"},
        ]
    )
    assert done.returncode != 0
    for part in ("'A_b'", "'relative'", "is also the name of", "'/srv/www/../etc'"):
        assert part in done.stdout


WATCHES = "/proc/sys/fs/inotify/max_user_watches"
SYSCTLS = "/etc/sysctl.d/60-memfis.conf"


@contextmanager
def few_watches(host, options):
    """Let the limit be 3, here alone: that of the kernel is the whole machine's, of all tests."""
    host.check_output("echo 3 > /run/few-watches")
    host.check_output("mount --bind /run/few-watches %s", WATCHES)
    host.check_output("mount -o %s %s", f"remount,bind,{options}", WATCHES)
    try:
        yield
    finally:
        host.check_output("umount %s", WATCHES)


def test_new_settings_reach_the_running_agent(host, fetch, play, sites, agent, eventually):
    pid = agent("MainPID")
    assert fetch("/library/os.html").source == "HIT"
    done = play([{**sites[0], "exclude": ["*.inv", "/library/os.html"]}, *sites[1:]])
    assert done.returncode == 0, done.stdout
    assert "dangling symbolic link" in done.stdout  # the doctor's findings
    assert eventually(lambda: fetch("/library/os.html").source == "FALLBACK")
    assert fetch("/library/").source == "HIT"
    assert agent("MainPID") == pid
    log = host.check_output("journalctl --unit=memfis-agent --output=cat _PID=%s", pid)
    assert "settings read again" in log


DROP_IN = "/run/systemd/system/memfis-agent.service.d"


def test_what_a_unit_hides_is_told(host, eventually):
    """By the doctor, before and after a start, as root and as the agent; and by the agent."""
    host.check_output("mkdir --parents %s", DROP_IN)
    host.check_output("printf '[Service]\\nProtectHome=tmpfs\\n' >%s/test.conf", DROP_IN)
    try:
        host.check_output("systemctl daemon-reload")
        for user in ("root", "memfis"):
            done = host.run("runuser -u %s -- memfis doctor --site secure", user)
            assert done.rc == 1, done.stdout
            assert "secure: sandbox: memfis-agent.service hides /home" in done.stdout
            assert "ProtectHome=tmpfs" in done.stdout
        host.check_output("printf '[Service]\\nProtectHome=yes\\n' >%s/test.conf", DROP_IN)
        host.check_output("systemctl daemon-reload && systemctl restart memfis-agent")
        log = "journalctl --unit=memfis-agent --output=cat --lines=40"
        said = "/home is hidden from this process by its unit (ProtectHome="
        assert eventually(lambda: said in host.check_output(log))
        # The settings are right again, and the process was started with others.
        host.check_output("rm --recursive %s && systemctl daemon-reload", DROP_IN)
        done = host.run("runuser -u memfis -- memfis doctor --site secure")
        assert "memfis-agent.service does not see the directory" in done.stdout
        # Root may be without the power that this takes (CAP_SYS_PTRACE), and then says so.
        done = host.run("setpriv --bounding-set -sys_ptrace memfis doctor --site secure")
        assert "memfis-agent.service sees the web root (by its settings; this user" in done.stdout
    finally:
        host.run("rm --recursive --force %s", DROP_IN)
        host.check_output("systemctl daemon-reload && systemctl restart memfis-agent")
    done = host.run("runuser -u memfis -- memfis doctor --site secure")
    assert "memfis-agent.service sees the web root (as its process does)" in done.stdout


def test_a_root_that_the_agent_could_not_reach_fails_the_play(host, play, sites):
    host.check_output("ln --symbolic --no-target-directory --force turn /srv/www/turn")
    host.check_output("ln --symbolic --no-target-directory --force /dev/turn /srv/www/device")
    more = [
        {"server_names": [name], "root": f"/srv/www/{name}"} for name in ("turn", "device", "file")
    ]
    host.check_output("touch /srv/www/file")
    try:
        done = play([*sites, *more])
    finally:
        host.check_output("rm /srv/www/turn /srv/www/device /srv/www/file")
    assert done.returncode != 0
    assert "web root /srv/www/turn: its symbolic links go in a circle" in done.stdout
    assert "web root /srv/www/device: leads into /dev" in done.stdout
    assert "web root /srv/www/file: is there and no directory" in done.stdout


FILES = "files.example.org"


def test_metrics_few_watches_and_a_store_that_is_not_emptied(
    host, fetch, play, sites, agent, ask_metrics
):
    pid = agent("MainPID")
    assert not host.file(SYSCTLS).exists
    host.check_output("echo kept > /srv/files/kept.html")
    with few_watches(host, "rw"):
        variables = "memfis_metrics=127.0.0.1:9180 memfis_store_memory=160"
        done = play(sites, f"--extra-vars={variables}")
        assert done.returncode == 0, done.stdout
        raised = int(host.file(WATCHES).content_string)
    assert "goes on with its earlier settings" in done.stdout
    needed = host.check_output("find /srv/www/docs /srv/www/secure -type d | wc -l")
    assert raised >= int(needed)
    assert host.file(SYSCTLS).content_string == f"fs.inotify.max_user_watches={raised}\n"
    assert agent("MainPID") != pid
    done = ask_metrics("nogroup", 9180)
    assert done.rc == 0, done.stderr
    assert "memfis_site_pages" in done.stdout
    assert not host.file("/run/memfis/metrics.sock").exists
    host.check_output("rm %s", SYSCTLS)
    assert "--memory-limit=160" in host.check_output("systemctl cat memfis-memcached")
    assert "--memory-limit=128" in host.check_output("pgrep --full --list-full memcached")
    assert (fetch("/kept.html", FILES).source, fetch("/kept.html", FILES).body) == (
        "HIT",
        b"kept\n",
    )


def test_play_ends_and_tells_when_the_store_is_broken(host, fetch, play, sites, eventually):
    drop_in = "/etc/systemd/system/memfis-memcached.service.d"
    host.check_output("mkdir %s", drop_in)
    host.check_output(
        f"printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep inf\\n' > {drop_in}/broken.conf"
    )
    host.check_output("systemctl daemon-reload && systemctl restart memfis-memcached")
    # As after an update of the agent, which restarts the mounts too.
    unit = "/etc/systemd/system/memfis-mount-files.example.org.service"
    host.check_output("echo '# changed' >> %s", unit)
    try:
        with few_watches(host, "ro"):
            done = play(sites)
        assert done.returncode != 0
        assert "The agent does not reach the store, and goes on trying" in done.stdout
        assert "store away: docs.example.org, secure, files.example.org" in done.stdout
        # The doctor's part: no store, and a limit that cannot be raised here.
        assert "is it running?" in done.stdout
        told = " ".join(done.stdout.split())  # Ansible breaks long lines.
        assert "fs.inotify.max_user_watches cannot be raised to" in told
        assert "Read-only file system; until the host of a container sets it" in told
        assert not host.file(SYSCTLS).exists
        answer = fetch("/")
        assert (answer.status, answer.source) == (200, "FALLBACK")
    finally:
        host.check_output(f"rm -r {drop_in}")
        host.check_output("systemctl daemon-reload && systemctl restart memfis-memcached")
    assert eventually(lambda: fetch("/").source == "HIT")


def test_removed_site_goes_away_and_its_content_stays(
    host, fetch, play, sites, eventually, tmp_path
):
    # The default site comes back, with a change: it is somebody's own now.
    host.check_output(
        f"sed 's/listen 80 default_server/listen 8082/; s/listen .::.:80.*//' "
        f"{AVAILABLE}/default.dpkg-dist > {AVAILABLE}/default"
    )
    host.check_output(f"ln -s {AVAILABLE}/default {ENABLED}/default")
    modified = host.file(f"{AVAILABLE}/default").sha256sum
    (tmp_path / "index.html").write_text("<p>first</p>")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "gone.html").write_text("<p>gone soon</p>")
    added = {"server_names": ["added.example.org"], "root": "/srv/www/added", "src": str(tmp_path)}

    others = "memfis_sites_remove=true memfis_from_memory=memcached_pass"
    done = play([sites[0], added], f"--extra-vars={others}")
    assert done.returncode == 0, done.stdout
    assert not host.file(f"{AVAILABLE}/memfis-secure.conf").exists
    assert not host.file(f"{ENABLED}/memfis-secure.conf").exists
    assert host.file("/srv/www/secure/index.html").is_file
    # Nothing is read by Lua any more.
    assert not host.file("/usr/share/lua/5.1/memfis").exists
    assert not host.file("/run/memfis-origin/.first-level.sock").exists
    assert not host.file("/etc/memfis/memfis.toml").contains("first_level")
    assert host.file(f"{AVAILABLE}/default").sha256sum == modified
    assert host.file(f"{ENABLED}/default").exists
    assert fetch("/", "foreign", port=8081).body == b"foreign\n"
    assert not host.file(f"/etc/systemd/system/memfis-mount-{FILES}.service").exists
    assert host.run("mountpoint --quiet /srv/files").rc != 0
    assert fetch("/sub/gone.html", "added.example.org").source == "HIT"

    # New content: what was copied and is gone is removed, what came from elsewhere stays.
    host.check_output("echo upload > /srv/www/added/upload.txt")
    (tmp_path / "sub" / "gone.html").unlink()
    (tmp_path / "sub").rmdir()
    (tmp_path / "index.html").write_text("<p>second</p>")
    done = play([sites[0], added], "--diff")
    assert done.returncode == 0, done.stdout
    assert "added.example.org: 1 changed: index.html" in done.stdout
    assert "added.example.org: 2 gone: sub/, sub/gone.html" in done.stdout
    assert "Sync changed content" in done.stdout
    answer = fetch("/", "added.example.org")
    assert (answer.source, answer.body) == ("HIT", b"<p>second</p>")
    assert fetch("/sub/gone.html", "added.example.org").status == 404
    assert not host.file("/srv/www/added/sub").exists
    assert host.file("/srv/www/added/upload.txt").exists

    done = play([sites[0], added])
    assert "changed=0" in done.stdout, done.stdout
