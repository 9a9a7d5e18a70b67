"""What an administrator does next. Runs the playbook, so it comes last (files run by name)."""

AVAILABLE = "/etc/nginx/sites-available"
ENABLED = "/etc/nginx/sites-enabled"


def listing(host):
    command = "cd /etc/nginx && sha256sum sites-available/* && ls -l sites-enabled/"
    return host.check_output(command)


def test_broken_site_is_rolled_back(host, fetch, play, sites):
    before = listing(host)
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


def test_port_of_another_program_is_rolled_back(host, fetch, play, sites):
    before = listing(host)
    host.check_output("systemd-run --unit=squatter python3 -m http.server --bind 0.0.0.0 8099")
    try:
        done = play([*sites, {"server_names": ["new"], "root": "/srv/www/new", "listen": ["8099"]}])
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

    done = play([sites[0], added])
    assert done.returncode == 0, done.stdout
    assert not host.file(f"{AVAILABLE}/memfis-secure.conf").exists
    assert not host.file(f"{ENABLED}/memfis-secure.conf").exists
    assert host.file("/srv/www/secure/index.html").is_file
    assert host.file(f"{AVAILABLE}/default").sha256sum == modified
    assert host.file(f"{ENABLED}/default").exists
    assert fetch("/", "foreign", port=8081).body == b"foreign\n"
    assert fetch("/sub/gone.html", "added.example.org").source == "HIT"

    # New content: what was copied and is gone is removed, what came from elsewhere stays.
    host.check_output("echo upload > /srv/www/added/upload.txt")
    (tmp_path / "sub" / "gone.html").unlink()
    (tmp_path / "sub").rmdir()
    (tmp_path / "index.html").write_text("<p>second</p>")
    done = play([sites[0], added])
    assert done.returncode == 0, done.stdout
    assert "Sync changed content" in done.stdout
    answer = fetch("/", "added.example.org")
    assert (answer.source, answer.body) == ("HIT", b"<p>second</p>")
    assert fetch("/sub/gone.html", "added.example.org").status == 404
    assert not host.file("/srv/www/added/sub").exists
    assert host.file("/srv/www/added/upload.txt").exists

    done = play([sites[0], added])
    assert "changed=0" in done.stdout, done.stdout
