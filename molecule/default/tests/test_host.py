"""What stands on the host after site.yml."""

import re

import pytest


@pytest.mark.parametrize("unit", ["nginx", "memfis-memcached", "memfis-agent"])
def test_services_run_now_and_at_boot(host, unit):
    service = host.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_nothing_has_failed(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_stock_memcached_came_with_the_package_and_is_off(host):
    service = host.service("memcached")
    assert not service.is_running
    assert not service.is_enabled


def test_only_nginx_listens_to_the_network(host):
    lines = host.check_output("ss --no-header --listening --tcp --udp --numeric --processes")
    listening = {tuple(line.split()[i] for i in (0, 4)) for line in lines.splitlines()}
    assert {(kind, address.rpartition(":")[2]) for kind, address in listening} == {
        ("tcp", "80"),
        ("tcp", "443"),
        ("tcp", "8081"),  # the site that is not ours
    }
    assert all("nginx" in line for line in lines.splitlines())


@pytest.mark.parametrize(
    ("path", "user", "group", "mode"),
    [
        ("/run/memfis-store", "memcache", "www-data", 0o750),
        ("/run/memfis-store/memcached.sock", "memcache", "www-data", 0o660),
        ("/run/memfis-origin", "root", "memfis", 0o750),
        ("/run/memfis", "memfis", "memfis", 0o750),
        ("/run/memfis/agent.sock", "memfis", "memfis", 0o600),
        ("/run/memfis/metrics.sock", "memfis", "memfis", 0o660),
        ("/usr/share/lua/5.1/memfis", "root", "root", 0o755),
        ("/usr/share/lua/5.1/memfis/reader.lua", "root", "root", 0o644),
        ("/etc/memfis", "root", "memfis", 0o750),
        ("/etc/memfis/memfis.toml", "root", "memfis", 0o640),
        ("/srv/www/docs", "root", "root", 0o755),
        ("/srv/www/docs/index.html", "root", "root", 0o644),
    ],
)
def test_owners_and_modes(host, path, user, group, mode):
    found = host.file(path)
    assert (found.user, found.group, oct(found.mode)) == (user, group, oct(mode))


@pytest.mark.parametrize(
    ("user", "path", "allowed"),
    [
        ("www-data", "/run/memfis-store/memcached.sock", True),
        ("memfis", "/run/memfis-store/memcached.sock", True),
        ("nobody", "/run/memfis-store/memcached.sock", False),
        ("memfis", "/run/memfis-origin/docs.example.org.sock", True),
        ("www-data", "/run/memfis-origin/docs.example.org.sock", False),
        ("nobody", "/run/memfis-origin/docs.example.org.sock", False),
        ("memfis", "/run/memfis-origin/.first-level.sock", True),
        ("www-data", "/run/memfis-origin/.first-level.sock", False),
        ("root", "/run/memfis/agent.sock", True),
        ("memfis", "/run/memfis/agent.sock", True),
        ("www-data", "/run/memfis/agent.sock", False),
    ],
)
def test_who_may_use_the_sockets(host, user, path, allowed):
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = host.run("runuser -u %s -- python3 -c %s %s", user, connect, path)
    assert (done.rc == 0) is allowed, done.stderr


def test_store_takes_large_items_and_all_of_nginx(host):
    ask = (
        "import socket; s = socket.socket(socket.AF_UNIX);"
        "s.connect('/run/memfis-store/memcached.sock'); s.sendall(b'stats settings\\r\\n');"
        "f = s.makefile(); print(*iter(lambda: f.readline().strip(), 'END'), sep='\\n')"
    )
    lines = host.check_output("python3 -c %s", ask).splitlines()
    settings = dict(line.removeprefix("STAT ").split(" ", 1) for line in lines if " " in line)
    assert settings["item_size_max"] == str(20 * 1024 * 1024)
    assert settings["maxbytes"] == str(128 * 1024 * 1024)
    assert settings["udpport"] == "0"
    workers = int(host.check_output("nproc"))
    assert int(settings["maxconns"]) >= workers * 768


def test_agent_is_an_ordinary_user_in_a_sandbox(host):
    user = host.user("memfis")
    assert user.shell == "/usr/sbin/nologin"
    assert user.groups == ["memfis", "www-data"]
    pid = host.check_output("systemctl show --property=MainPID --value memfis-agent")
    status = host.file(f"/proc/{pid}/status").content_string
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["CapEff"] == fields["CapBnd"] == "0000000000000000"
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    mounts = host.file(f"/proc/{pid}/mountinfo").content_string
    options = {line.split()[4]: line.split()[5].split(",") for line in mounts.splitlines()}
    assert "ro" in options["/"]
    assert "rw" in options["/run/memfis"]


def test_a_root_that_is_a_link_into_a_home_is_in_memory(host, fetch, agent):
    assert host.file("/srv/www/secure").linked_to == "/home/deploy/releases/1"
    answer = fetch("/", "secure.example.org", scheme="https")
    assert (answer.status, answer.source) == (200, "HIT")
    # Of what ProtectHome=yes hides nothing else is shown.
    assert agent("ProtectHome") == "read-only"
    assert agent("PrivateTmp") == "yes"
    assert agent("InaccessiblePaths") == "-/root -/run/user"


def test_agent_says_when_it_is_ready_and_how_it_does(agent):
    assert agent("Type") == "notify"
    assert agent("WatchdogUSec") == "1min"
    assert re.match(r"\d{3,} pages of 2 sites", agent("StatusText"))


def test_start_of_the_agent_ends_when_the_sites_are_in_memory(host, metrics):
    host.check_output("systemctl restart memfis-agent")
    figures = metrics()
    for site in ("docs.example.org", "secure"):
        assert figures[f'memfis_site_pages{{site="{site}"}}'] > 0
        assert figures[f'memfis_site_syncs_total{{site="{site}"}}'] >= 1


def test_metrics_are_for_the_agents_group(ask_metrics):
    done = ask_metrics("memfis")
    assert done.rc == 0, done.stderr
    assert (
        'memfis_store_up{store="memcached:///run/memfis-store/memcached.sock"} 1.0' in done.stdout
    )
    for group in ("www-data", "nogroup"):
        assert "PermissionError" in ask_metrics(group).stderr


@pytest.mark.parametrize("user", ["root", "memfis"])
def test_sync_lets_the_agent_do_the_work(host, metrics, user):
    name = 'memfis_site_syncs_total{site="docs.example.org"}'
    before = metrics()[name]
    done = host.run("runuser -u %s -- memfis sync --site docs.example.org", user)
    # 1: the documentation has dangling links.
    assert done.rc == 1, done.stderr
    assert re.match(r"docs\.example\.org: \d+ pages", done.stdout)
    assert "waiting" not in done.stderr
    assert metrics()[name] > before


def test_default_site_is_kept_and_disabled(host):
    assert host.file("/etc/nginx/sites-available/default.dpkg-dist").is_file
    assert not host.file("/etc/nginx/sites-available/default").exists
    assert not host.file("/etc/nginx/sites-enabled/default").exists


def test_command_is_in_the_path(host):
    assert host.run("memfis --version").rc == 0


def test_manual_pages_are_those_of_the_agent(host):
    for page in ("man1/memfis.1", "man5/memfis.toml.5"):
        place = f"/usr/local/share/man/{page}"
        assert host.check_output("readlink %s", place) == f"/opt/memfis/agent/share/man/{page}"
        assert ".SH NAME" in host.file(place).content_string


def test_words_of_the_command_are_completed(host):
    shell = "source /usr/local/share/bash-completion/completions/memfis && complete -p memfis"
    assert "_memfis_completion" in host.check_output(f"bash -c '{shell}'")
    asked = "COMP_WORDS='memfis st' COMP_CWORD=1 _MEMFIS_COMPLETE=bash_complete memfis"
    assert host.check_output(asked).split() == ["plain,stat", "plain,status"]


def test_killed_nginx_starts_over_its_left_sockets(host, fetch, eventually):
    host.check_output("systemctl kill --signal=KILL nginx")
    assert eventually(lambda: not host.service("nginx").is_running)
    assert host.file("/run/memfis-origin/docs.example.org.sock").exists
    host.check_output("systemctl start nginx")
    assert fetch("/").source == "HIT"
