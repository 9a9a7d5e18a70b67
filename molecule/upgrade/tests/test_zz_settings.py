"""What an administrator does next. Runs the playbook, so it comes last (files run by name)."""


def state(host):
    """The agent's units and settings, nginx's sites, and the process."""
    files = "/etc/memfis/memfis.toml /etc/systemd/system/memfis-* /etc/nginx/sites-available/*"
    process = host.check_output("systemctl show --property=MainPID --value memfis-agent")
    return host.check_output(f"sha256sum {files}"), process


# The play refuses by the rules of the agent, but for what only that knows: its own version, which
# `memfis_agent_requirement` may choose.
NEWER = "__memfis_version=99.0.0"
REFUSED = "version: was written for memfis 99.0.0"


def test_settings_that_the_agent_refuses_are_taken_back(host, fetch, play, sites):
    before = state(host)
    # nginx takes the new site, and gives it back.
    new = {"server_names": ["new.example.org"], "root": "/srv/www/new"}
    done = play([*sites, new], f"--extra-vars={NEWER}")
    assert done.returncode != 0
    told = " ".join(done.stdout.split())
    assert "The agent does not take its new settings" in told
    assert REFUSED in told
    assert "was put back with its units, nginx's sites and its memfis.toml, and keeps the" in told
    assert "new.example.org" not in host.check_output("nginx -T")
    assert state(host) == before

    # With a new unit, for which it is started anew: it does not start with these settings.
    done = play(sites, f"--extra-vars={NEWER} memfis_metrics=127.0.0.1:9180")
    assert done.returncode != 0
    told = " ".join(done.stdout.split())
    assert "The new agent does not start" in told
    assert REFUSED in told
    assert state(host)[0] == before[0]
    assert host.service("memfis-agent").is_running
    assert fetch("/")[:2] == (200, "HIT")


def test_a_run_that_was_interrupted_is_made_up_for(host, play, sites, eventually):
    process = state(host)[1]
    metrics = "--extra-vars=memfis_metrics=127.0.0.1:9180"
    # It ends when the unit is written and nothing was started yet: at the content.
    src = "{{ role_path }}/files/welcome"
    nowhere = "--extra-vars=__memfis_cache=/dev/null"
    ended = play([{**sites[0], "src": src}, *sites[1:]], metrics, nowhere)
    assert ended.returncode != 0
    assert state(host)[1] == process
    done = play(sites, metrics)
    assert done.returncode == 0, done.stdout
    assert state(host)[1] != process
    ask = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 9180))'"
    assert eventually(lambda: host.run(ask).rc == 0)
