"""`memfis off` and `memfis on`, as somebody on the host types it."""


def test_off_stays_off_and_is_told(host, fetch):
    assert fetch("/").source == "HIT"
    done = host.run("runuser -u nobody -- memfis off docs.example.org")
    assert (done.rc, done.stderr) == (
        2,
        "memfis: /etc/nginx: only root may switch sites: use sudo\n",
    )
    host.check_output("systemctl stop memfis-agent")
    host.check_output("systemctl kill --signal=STOP memfis-memcached")
    try:
        host.check_output("memfis off docs.example.org")
        assert fetch("/").source == "FALLBACK"
    finally:
        host.check_output("systemctl kill --signal=CONT memfis-memcached")
        host.check_output("systemctl start memfis-agent")
    host.check_output("systemctl restart nginx")
    assert fetch("/").source == "FALLBACK"
    assert "off since" in host.check_output("memfis status")
    said = host.check_output("journalctl --identifier=memfis --output=cat")
    assert "docs.example.org: memory was switched off by root" in said
    done = host.run("memfis off files.example.org")
    assert (done.rc, "its source is the store" in done.stderr) == (2, True)
    host.check_output("memfis on docs.example.org")
    assert fetch("/").source == "HIT"
