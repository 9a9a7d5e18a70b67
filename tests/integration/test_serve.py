"""`memfis serve` from start to end, as a user runs it."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from memfis.errors import ProgramError
from memfis.serve import reader
from support.command import COMMAND, environment
from support.directory import reachable_directory
from support.ports import free_port
from support.process import PATIENCE, unprivileged, wait_for


class Serving:
    """A running `memfis serve`, its web root, and what it printed."""

    def __init__(self, directory: Path, *flags: str, port: int | None = None) -> None:
        self.root = directory / "site"
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.temporary.chmod(0o755)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = directory / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", str(self.root), "--listen", f"127.0.0.1:{self.port}", *flags],
                stdout=output,
                stderr=output,
                env=environment(TMPDIR=str(self.temporary)),
            )

    def wait(self) -> None:
        """Wait until it is ready, or has ended."""
        wait_for(lambda: self.url in self.output or self.process.poll() is not None, "memfis serve")

    @property
    def output(self) -> str:
        return self._output.read_text()

    def get(self, path: str) -> tuple[int, str, str]:
        """Return status, HIT or FALLBACK, and text."""
        answer = httpx.get(self.url + path, trust_env=False)
        return answer.status_code, answer.headers.get("X-Memfis", ""), answer.text

    def children(self) -> list[int]:
        """Return the process ids of everything it started."""
        found = subprocess.run(
            ["pgrep", "-f", str(self.temporary)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split() if int(pid) != self.process.pid]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def site() -> Iterator[Path]:
    with reachable_directory() as directory:
        root = directory / "site"
        (root / "docs").mkdir(parents=True)
        (root / "index.html").write_text("front page")
        (root / "docs" / "page.html").write_text("<p>text</p>" * 500)
        (root / "large.bin").write_bytes(os.urandom(200_000))
        (root / ".htpasswd").write_text("secret")
        yield directory


@contextmanager
def serving(directory: Path, *flags: str) -> Iterator[Serving]:
    running = Serving(directory, *flags)
    try:
        running.wait()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop(signal.SIGTERM)


def served_as(running: Serving, target: str, answer: tuple[int, str, str]) -> bool:
    """Whether `answer` is what `running` says; it never says another text."""
    status, served_by, text = running.get(target)
    assert (status, text) == (answer[0], answer[2])
    return served_by == answer[1]


@pytest.mark.parametrize("chosen", [(), ("--from-memory", "memcached_pass")])
def test_a_directory_is_served_from_memory(site: Path, chosen: tuple[str, ...]) -> None:
    read_by = chosen[-1] if chosen else "lua"
    with serving(site, *chosen) as running:
        # A busy machine may be late for nginx's quarter of a second, and then the disk answers.
        for target, text in (
            ("/", "front page"),
            ("/index.html", "front page"),
            ("/docs/page.html", "<p>text</p>" * 500),
        ):
            wait_for(partial(served_as, running, target, (200, "HIT", text)), target)
        assert running.get("/absent")[:2] == (404, "FALLBACK")
        assert running.get("/.htpasswd")[0] == 404
        status, served_by, _ = running.get("/large.bin")
        assert (status, served_by) == (200, "FALLBACK")
        line = next(line for line in running.output.splitlines() if line.startswith("http"))
        assert line.startswith(f"{running.url}/  2 files, 5.5 kB in memory")
        assert f" as stored, read by {read_by}) in " in line
        assert "2 left to disk: " in line
        assert "1 excluded" in line
        assert "1 larger than 131072 bytes" in line


def test_a_compressed_page_is_inflated_for_whom_does_not_take_gzip(site: Path) -> None:
    with serving(site) as running:
        for accepted, encoding in (("gzip", "gzip"), ("identity", None)):
            answer = httpx.get(
                running.url + "/docs/page.html",
                headers={"Accept-Encoding": accepted},
                trust_env=False,
            )
            assert answer.headers["X-Memfis"] == "HIT"
            assert answer.headers.get("Content-Encoding") == encoding
            assert answer.text == "<p>text</p>" * 500


@pytest.mark.skipif(os.geteuid() != 0, reason="nginx's workers are another user with root alone")
def test_what_root_reads_is_nobodys_to_exchange(site: Path) -> None:
    """Whoever may exchange nginx.conf may run what he likes as root."""
    user = unprivileged()
    assert user is not None
    with serving(site) as running:
        [directory] = running.temporary.iterdir()
        configuration = directory / "nginx.conf"
        for name in (configuration, directory / "site.conf", directory):
            assert name.stat().st_uid == 0
        done = subprocess.run(
            ["rm", "--force", configuration],
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            capture_output=True,
            check=False,
        )
        assert done.returncode != 0
        assert configuration.exists()


def test_its_programs_end_with_it_when_it_is_killed(site: Path) -> None:
    with serving(site) as running:
        assert running.children()
        running.stop(signal.SIGKILL)
        wait_for(lambda: running.children() == [], "nginx and memcached to end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_and_leaves_nothing_behind(site: Path, number: signal.Signals) -> None:
    with serving(site) as running:
        assert len(running.children()) >= 2
        assert running.stop(number) == 0
        assert running.children() == []
        assert list(running.temporary.iterdir()) == []
        with pytest.raises(httpx.ConnectError):
            running.get("/")


def test_it_cleans_up_though_it_is_told_to_stop_again(site: Path) -> None:
    """As by a Ctrl-C that a script hears too, and sends on as another signal."""
    with serving(site) as running:
        running.process.send_signal(signal.SIGINT)
        while running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        assert running.process.returncode == 0
        assert running.children() == []
        assert list(running.temporary.iterdir()) == []


def test_changes_are_shown(site: Path) -> None:
    with serving(site) as running:
        index = site / "site" / "index.html"
        index.write_text("changed")
        wait_for(lambda: running.get("/") == (200, "HIT", "changed"), "the change")
        (site / "site" / "a" / "b").mkdir(parents=True)
        (site / "site" / "a" / "b" / "new.html").write_text("new")
        wait_for(lambda: running.get("/a/b/new.html") == (200, "HIT", "new"), "the new page")
        new = site / "next.html"
        new.write_text("renamed over")
        new.rename(index)
        wait_for(lambda: running.get("/") == (200, "HIT", "renamed over"), "the renamed page")
        (site / "site" / "docs" / "page.html").unlink()
        wait_for(lambda: running.get("/docs/page.html")[0] == 404, "the page to go")
        index.chmod(0)
        wait_for(lambda: running.get("/")[0] == 403, "the page to be closed")


def test_a_web_root_that_becomes_empty_is_followed(site: Path) -> None:
    with serving(site) as running:
        (site / "site").rename(site / "away")
        wait_for(lambda: running.get("/")[0] != 200 or "No such" in running.output, "it to notice")
        (site / "away").rename(site / "site")
        wait_for(lambda: running.get("/") == (200, "HIT", "front page"), "it to come back")


def test_a_killed_memcached_is_started_and_filled_again(site: Path) -> None:
    with serving(site) as running:
        found = subprocess.run(
            ["pgrep", "-f", f"memcached.*{running.temporary}"], capture_output=True, text=True
        )
        os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
        assert running.get("/")[::2] == (200, "front page")
        wait_for(lambda: running.get("/")[1] == "HIT", "the store to be filled again")


def test_a_killed_nginx_ends_it_with_a_message(site: Path) -> None:
    with serving(site) as running:
        pid = next(running.temporary.glob("*/nginx.pid")).read_text()
        os.kill(int(pid), signal.SIGKILL)
        assert running.process.wait(PATIENCE) == 2
        assert "nginx ended" in running.output
        assert list(running.temporary.iterdir()) == []


def test_a_taken_port_is_named(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = Serving(site, port=port)
        assert running.process.wait(PATIENCE) == 2
        [line] = [line for line in running.output.splitlines() if "nginx" in line]
        assert f"127.0.0.1:{port}" in line
        assert "Address already in use" in line
        assert "Traceback" not in running.output
        assert running.children() == []
        assert list(running.temporary.iterdir()) == []


@pytest.mark.parametrize("program", ["nginx", "memcached"])
def test_a_program_that_is_not_installed_is_named(site: Path, program: str) -> None:
    script = (
        "import sys; from memfis.serve import programs; find = programs.shutil.which\n"
        f"hidden = {program!r}\n"
        "programs.shutil.which = lambda name, **k: None if name == hidden else find(name, **k)\n"
        "from memfis.commands import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", script, "serve", str(site / "site")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"memfis: {program} is not installed: try 'apt install")


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("absent.so", "nginx has no Lua module: try 'apt install libnginx-mod-http-lua'"),
        ("../../../../etc/hostname", "nginx does not take its Lua module: it said: dlopen() "),
    ],
)
def test_lua_that_nginx_has_not_is_missed_where_it_was_asked_for(
    site: Path, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    monkeypatch.setattr(reader, "MODULES", (module,))
    assert reader.choose(None, site).from_memory == "memcached_pass"
    with pytest.raises(ProgramError, match=f"^{re.escape(why)}") as raised:
        reader.choose("lua", site)
    assert "\n" not in str(raised.value)


def test_a_memcached_that_does_not_start_says_why(site: Path) -> None:
    temporary = site / ("long" * 30)  # more than the name of a unix socket may have
    temporary.mkdir()
    done = subprocess.run(
        [*COMMAND, "serve", str(site / "site"), "--listen", f"127.0.0.1:{free_port()}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(TMPDIR=str(temporary)),
    )
    assert done.returncode == 2
    assert "memcached" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "listen", ["", "8080x", "example.org:80", "127.0.0.1:0", "127.0.0.1:99999"]
)
def test_a_listen_address_that_is_none(site: Path, listen: str) -> None:
    done = subprocess.run(
        [*COMMAND, "serve", str(site / "site"), "--listen", listen],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2
    assert "expected ADDRESS:PORT" in done.stderr


@pytest.mark.parametrize("path", ["/nonexistent", "/etc/hostname"])
def test_a_directory_that_is_none(path: str) -> None:
    done = subprocess.run(
        [*COMMAND, "serve", path], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert path in done.stderr
    assert "Traceback" not in done.stderr
