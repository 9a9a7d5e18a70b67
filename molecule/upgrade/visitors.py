#!/usr/bin/env python3
"""Visitors of the host's sites, and an author who changes a page; runs on the host.

visitors.py fill        ask for what PHP and the mount publish, until all of it comes from memory
visitors.py note FILE   write down what the store holds, and what the agent is
visitors.py visit FILE  let them come until SIGTERM, and write down what they were given
visitors.py leave       end them
"""

import hashlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path

DOCS, APP, FILES = "docs.example.org", "app.example.org", "files.example.org"
ROOT = Path("/srv/www/docs")
MOUNT = Path("/srv/files")
INDEX = "index.html"
CHANGING = "/changing.html"
STORE = "/run/memfis-store/memcached.sock"
UNITS = Path("/etc/systemd/system")
STORIES = ["/", *(f"/story/{number}/" for number in range(1, 21))]


def ask(site, path):
    """Return the status, the source (HIT or FALLBACK) and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": site, "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("X-Memfis"), answer.read()
    finally:
        connection.close()


def published(top):
    """Return the URL path of every file below `top` that anybody may read."""
    found = []
    for directory, _, names in os.walk(top):
        for name in names:
            file = Path(directory, name)
            if name.startswith(".") or not file.stat().st_mode & 0o004:
                continue
            path = "/" + file.relative_to(top).as_posix()
            found.append(urllib.parse.quote(path.removesuffix(name) if name == INDEX else path))
    return sorted(found)


def fill():
    """Ask for pages until all come from memory."""
    waiting = [(APP, path) for path in STORIES] + [(FILES, path) for path in published(MOUNT)]
    for _ in range(60):
        waiting = [(site, path) for site, path in waiting if ask(site, path)[1] != "HIT"]
        if not waiting:
            return
        time.sleep(0.5)
    sys.exit(f"not in memory: {waiting}")


def items():
    """Return the number of every item, which each write of it changes."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answer:
        connection.settimeout(10)
        connection.connect(STORE)
        connection.sendall(b"lru_crawler metadump hash\r\n")
        found = {}
        for line in iter(answer.readline, b"END\r\n"):
            if line.startswith(b"BUSY "):  # the agent lists: one at a time
                time.sleep(0.1)
                connection.sendall(b"lru_crawler metadump hash\r\n")
                continue
            words = dict(word.split("=", 1) for word in line.decode().split())
            found[urllib.parse.unquote(words["key"])] = words["cas"]
        return found


def output(*command):
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def note(file):
    """Write down what the store holds, and what the agent is."""
    units = [*UNITS.glob("memfis-agent.*"), *UNITS.glob("memfis-mount-*")]
    files = [*units, Path("/etc/memfis/memfis.toml")]
    noted = {
        "items": items(),
        "version": output("memfis", "--version"),
        "requirement": output("cat", f"{environment()}/memfis-requirement"),
        "files": {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "modes": {str(path): [oct(path.stat().st_mode), path.group()] for path in files},
        "active": output("systemctl", "show", "--property=ActiveState", "--value", "memfis-agent"),
        "program": output("systemctl", "show", "--property=ExecStart", "--value", "memfis-agent"),
        "store": output("systemctl", "show", "--property=MainPID", "--value", "memfis-memcached"),
        "front": ask(DOCS, "/")[:2],
        "tree": tree(MOUNT),
    }
    Path(file).write_text(json.dumps(noted))


def environment():
    """Return the virtual environment that the command runs from."""
    return Path("/usr/local/bin/memfis").resolve().parents[1]


def tree(top):
    """Return what is below `top`: of each name type, mode, owners, time and content."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else None
        if content is None and path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        told = [status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content]
        found[str(path)] = told
    return found


class Visitors:
    """Two visitors and the author."""

    def __init__(self, file):
        self.file = file
        self.stop = threading.Event()
        self.writing = threading.Lock()
        self.pages = [
            [(DOCS, path) for path in published(ROOT)],
            [(APP, path) for path in STORIES],
            [(FILES, path) for path in published(MOUNT)],
            [(DOCS, CHANGING)],
        ]

    def write_down(self, line):
        with self.writing:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

    def visit(self, seed):
        """Ask for one page after the other, some twenty a second."""
        choice = random.Random(seed)
        while not self.stop.wait(0.05):
            site, path = choice.choice(choice.choices(self.pages, [9, 4, 4, 3])[0])
            began = time.monotonic()
            try:
                status, source, body = ask(site, path)
            except (OSError, http.client.HTTPException) as error:
                status, source, body = 0, repr(error), b""
            shown = hashlib.sha256(body).hexdigest()
            if path == CHANGING and status == 200:
                shown = int(body)
            self.write_down([began, time.monotonic(), site, path, status, source, shown])

    def write(self):
        """Change a page every other second, as editors do: another file takes its place."""
        number = 0
        while not self.stop.wait(2):
            number += 1
            new = ROOT / ".new"
            new.write_text(f"{number}\n")
            new.rename(ROOT / CHANGING[1:])

    def come(self):
        """Let them come until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        threads = [threading.Thread(target=self.visit, args=[seed]) for seed in (1, 2)]
        threads.append(threading.Thread(target=self.write))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main(command, *arguments):
    """Do what the command line says."""
    if command == "visit":
        here = Path("/run/visitors")
        here.touch()
        try:
            with open(*arguments, "w") as file:
                Visitors(file).come()
        finally:
            with suppress(FileNotFoundError):
                here.unlink()
    elif command == "leave":
        subprocess.run(["systemctl", "stop", "visitors"], check=True)
    else:
        {"fill": fill, "note": note}[command](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
