"""What the commands print, and their exit codes."""

import json
import os
import pty
import subprocess

import pytest

from integration.conftest import Filled
from memfis.layout.keys import page_key
from support.command import COMMAND, environment, memfis, memfis_json


def test_help_names_every_command_and_exit_code() -> None:
    done = memfis("--help")
    assert done.returncode == 0
    for name in (
        "serve",
        "sync",
        "agent",
        "verify",
        "ls",
        "cat",
        "stat",
        "key",
        "status",
        "top",
        "doctor",
    ):
        assert f"  {name} " in done.stdout
        assert memfis(name, "--help").returncode == 0
    for code in range(5):
        assert f"  {code}  " in done.stdout


def test_sync_prints_one_line_and_ends_with_0(filled: Filled) -> None:
    done = memfis("sync", *filled.flags())
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert "3 added, 0 changed, 0 removed" in line


def test_sync_by_configuration(filled: Filled) -> None:
    config = filled.root.parent / "memfis.toml"
    config.write_text(
        f'store = "{filled.site.store}"\n'
        f'[[sites]]\nname = "{filled.site.name}"\nroot = "{filled.root}"\nexclude = ["*.png"]\n'
        f'[[sites]]\nname = "other.example"\nroot = "{filled.root}/docs"\n'
    )
    one = memfis_json("sync", "--config", config, "--site", "site.example")["sites"]
    assert [(site["site"], site["pages"]) for site in one] == [("site.example", 2)]
    assert one[0]["skipped"] == {"excluded": 1}
    environ = environment(MEMFIS_CONFIG=str(config))
    both = json.loads(memfis("sync", "--json", env=environ).stdout)["sites"]
    assert [site["site"] for site in both] == ["site.example", "other.example"]
    assert memfis("ls", env=environ).returncode == 2  # which of the two?
    assert memfis("ls", "--site", "nobody", "--config", config).returncode != 0


def test_a_dry_run_lists_what_it_would_do(filled: Filled) -> None:
    filled.sync()
    (filled.root / "new.html").write_text("12345")
    (filled.root / "index.html").write_text("changed now")
    (filled.root / "docs" / "logo.png").unlink()
    done = memfis("sync", *filled.flags(), "--dry-run")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "~ site.example/index.html (11 bytes)",
        "+ site.example/new.html (5 bytes)",
        "- site.example/docs/logo.png",
    ]
    assert lines[3].startswith("dry run, nothing written: ")


def test_a_safety_limit_ends_with_4(filled: Filled) -> None:
    filled.sync()
    (filled.root / "docs" / "logo.png").unlink()
    done = memfis("sync", *filled.flags(), "--max-delete", "0")
    assert done.returncode == 4
    assert "nothing was written" in done.stderr
    assert memfis("sync", *filled.flags(), "--max-delete", "1").returncode == 0


def test_verify_finds_every_kind_of_difference(filled: Filled) -> None:
    filled.sync()
    assert memfis("verify", *filled.flags()).returncode == 0
    filled.store.set(page_key("site.example", b"/"), b"defaced")
    filled.store.set(page_key("site.example", b"/docs/"), b"broken", 2)
    filled.store.set(page_key("site.example", b"/stray.html"), b"stray")
    filled.store.delete_many([page_key("site.example", b"/docs/logo.png")])
    done = memfis("verify", *filled.flags())
    assert done.returncode == 1
    assert set(done.stdout.splitlines()[:-1]) == {
        "different /index.html",
        "damaged /docs/index.html",
        "missing /docs/logo.png",
        "stray memfis://site.example/stray.html",
    }
    [site] = memfis_json("verify", *filled.flags())["sites"]
    assert len(site["differences"]) == 4
    assert memfis("sync", *filled.flags()).returncode == 0
    assert "stray" in memfis("verify", *filled.flags()).stdout


def test_ls_cat_and_stat(filled: Filled) -> None:
    filled.sync()
    assert memfis("ls", *filled.flags()).stdout.splitlines() == ["docs/", "index.html"]
    long = memfis("ls", "-l", *filled.flags(), "/docs").stdout.splitlines()
    assert [line.split()[0] + " " + line.split()[-2] for line in long] == [
        "-rw-r--r-- gzip",
        "-rw-r--r-- plain",
    ]
    assert memfis("cat", *filled.flags(), "/docs/").stdout == "<p>documentation</p>" * 100
    assert memfis("cat", *filled.flags(), "/docs/index.html").stdout.startswith("<p>")
    document = memfis_json("stat", *filled.flags(), "/docs/")
    assert document["key"] == "memfis://site.example/docs/"
    assert document["page"]["encoding"] == "gzip"
    assert document["record"]["size"] == 2000
    for command in ("ls", "cat", "stat"):
        done = memfis(command, *filled.flags(), "/absent")
        assert done.returncode == 1
        assert "/absent" in done.stderr


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("http://site.example/", "memfis://site.example/"),
        ("http://site.example", "memfis://site.example/"),
        ("https://site.example/docs/index.html", "memfis://site.example/docs/"),
        ("http://site.example:8080/a%20b?x=1#top", "memfis://site.example/a%20b"),
        ("http://site.example//a/./b/../c%25", "memfis://site.example/a/c%25"),
        ("http://site.example/caf%C3%A9", "memfis://site.example/café"),
    ],
)
def test_key_is_what_nginx_asks_for(uri: str, key: str) -> None:
    assert memfis("key", uri).stdout == key + "\n"


@pytest.mark.parametrize(
    ("path", "reason", "remedy"),
    [
        ("/docs/logo.png", "/docs/logo.png: excluded", "'exclude'"),
        ("/.git/config", "/.git: excluded", "never sent"),
        ("/x.php", "/x.php: excluded", "never sent"),
        ("/mode.html", "/mode.html: not readable for nginx's user nobody (-rw-r-----)", "chmod"),
        ("/closed/a/b.html", "/closed: not readable for nginx's user nobody (drwx------)", "chmod"),
        ("/out.html", "/out.html: symbolic link out of the web root, to /", "'follow'"),
        ("/nowhere.html", "/nowhere.html: dangling symbolic link", "remove the link"),
        ("/absent.html", "/absent.html: there is no such file", ""),
        ("/absent/a.html", "/absent: there is no such file", ""),
        ("/index.html/a", "/index.html: is a file", ""),
        ("/docs", "/docs: is a directory", "its page is that of /docs/"),
        ("/empty/", "/empty/index.html: there is no such file", ""),
        (
            "/new.html",
            "/new.html: nobody has read the file yet",
            "`memfis sync --site site.example`",
        ),
        ("/large.bin", "/large.bin: larger than 1000 bytes as stored", "'max_page'"),
        ("/lost.html", "/lost.html: it was there, and the store has let it go", "memfis sync"),
    ],
)
def test_stat_says_why_something_is_not_in_memory(
    filled: Filled, path: str, reason: str, remedy: str
) -> None:
    root = filled.root
    config = root.parent / "memfis.toml"
    config.write_text(
        f'store = "{filled.site.store}"\nreader = "nobody"\nmax_page = 1000\n'
        f'[[sites]]\nname = "site.example"\nroot = "{root}"\nexclude = ["*.png"]\n'
    )
    for name in ("x.php", ".git/config", "closed/a/b.html", "mode.html", "lost.html", "empty/a"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "mode.html").chmod(0o640)
    (root / "closed").chmod(0o700)
    (root / "large.bin").write_bytes(os.urandom(2000))
    (root / "out.html").symlink_to("/etc/hostname")
    (root / "nowhere.html").symlink_to("absent.html")
    assert memfis("sync", "--config", config).returncode in {0, 1}
    filled.store.delete_many([page_key("site.example", b"/lost.html")])
    (root / "new.html").write_text("new")
    done = memfis("stat", "--config", config, path)
    assert done.returncode == 1
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if reason in line]
    assert remedy in line.split(reason)[1]
    if done.stdout:
        why = memfis_json("stat", "--config", config, path)["why"]
        assert reason.startswith(f"{why['path']}: ")
        assert why["reason"] in line


def test_stat_of_a_page_that_is_there_gives_no_reason(filled: Filled) -> None:
    filled.sync()
    assert "why" not in memfis_json("stat", *filled.flags(), "/")
    root = filled.root.rename(filled.root.with_name("gone"))
    filled.store.delete_many([page_key("site.example", b"/")])
    done = memfis("stat", *filled.flags(), "/")
    assert done.returncode == 1
    assert f"why: /: web root {filled.root}: " in done.stdout
    root.rename(filled.root)


def test_a_url_says_which_site_is_meant(filled: Filled) -> None:
    """Case R12."""
    config = filled.root.parent / "memfis.toml"
    config.write_text(
        f'store = "{filled.site.store}"\n'
        f'[[sites]]\nname = "one"\nserver_names = ["www.one.example"]\nroot = "{filled.root}"\n'
        f'[[sites]]\nname = "two"\nserver_names = ["two.example"]\nroot = "{filled.root}/docs"\n'
    )
    here = ("--config", config)
    assert memfis("sync", *here).returncode == 0
    two = "https://two.example:8443"
    assert memfis("ls", *here, f"{two}/").stdout.splitlines() == ["index.html", "logo.png"]
    assert memfis("cat", *here, f"{two}/").stdout.startswith("<p>documentation")
    assert memfis_json("stat", *here, "http://www.one.example/docs/?x=1")["site"] == "one"
    assert memfis("key", *here, f"{two}/a").stdout == "memfis://two/a\n"
    assert memfis_json("stat", *here, "--site", "one", f"{two}/docs/")["site"] == "one"
    purged = memfis_json("purge", *here, f"{two}/", "http://www.one.example/docs/")["sites"]
    assert [(site["site"], site["files"]) for site in purged] == [("two", 1), ("one", 1)]
    for command in ("ls", "cat", "stat", "key", "purge", "verify"):
        flags = ("--http",) if command == "verify" else ()
        done = memfis(command, *here, *flags, "http://one.example/")
        assert (done.returncode, done.stdout) == (2, "")
        assert "which site is one.example? give one with --site (one, two)" in done.stderr
        for url in ("http:///x", "http://[::1/x"):
            done = memfis(command, *here, *flags, url)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    done = memfis("purge", *here, "http://www.one.example/", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert filled.store.get(page_key("one", b"/"))  # nothing was removed before all was understood
    done = memfis("ls", *here, "/docs/")
    assert "which site? give one with --site, or a URL (one, two)" in done.stderr


@pytest.mark.parametrize("command", ["ls", "sync", "status", "mount", "purge"])
def test_the_shell_completes_names_of_sites(filled: Filled, command: str) -> None:
    config = filled.root.parent / "memfis.toml"
    config.write_text(
        "".join(
            f'[[sites]]\nname = "{name}"\nroot = "{filled.root}"\n' for name in ("one", "two", "on")
        )
    )

    def completed(*words: str) -> list[str]:
        line = ("memfis", command, *words)
        environ = environment(
            MEMFIS_CONFIG=str(config),
            _MEMFIS_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(line),
            COMP_CWORD=str(len(line) - 1),
        )
        done = memfis(env=environ)
        assert (done.returncode, done.stderr) == (0, "")
        return [word.partition(",")[2] for word in done.stdout.split()]

    assert completed("--site", "o") == ["one", "on"]
    config.write_text("nonsense")
    assert completed("--site", "o") == []


def test_a_key_that_is_too_long_is_said_to_be(filled: Filled) -> None:
    done = memfis("key", "http://site.example/" + "x" * 300)
    assert done.returncode == 1
    assert "fallback" in done.stderr


def test_status(filled: Filled) -> None:
    [before] = memfis_json("status", *filled.flags())["sites"]
    assert before["last_sync"] is None
    filled.sync()
    [after] = memfis_json("status", *filled.flags())["sites"]
    assert (after["pages"], after["source"]) == (3, "root")
    assert after["statistics"]["item_limit"] == 20 * 1024 * 1024
    assert "last synced" in memfis("status", *filled.flags()).stdout


def test_progress_is_shown_on_a_terminal_and_gone_afterwards(filled: Filled) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "sync", *filled.flags()],
        stdout=subprocess.PIPE,
        stderr=follower,
        env=environment(TERM="xterm"),
        timeout=60,
    )
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.returncode == 0
    assert "files" in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h", "\r\x1b[1A\x1b[2K"))


def test_a_reader_that_goes_away_is_no_error(filled: Filled) -> None:
    filled.sync()
    pipe = " ".join([*COMMAND, "ls", "-l", *filled.flags()]) + " | true"
    done = subprocess.run(
        ["sh", "-c", pipe], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert "Traceback" not in done.stderr
