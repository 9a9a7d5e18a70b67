"""A wiki on a host set up by site.yml, asked from inside, so that any engine will do."""

import json
import os
import re
import time
from dataclasses import dataclass

import pytest
import testinfra

ENGINE = os.environ.get("MOLECULE_ENGINE") or "podman"
NAME = "php.memfis"

# Asks for one thing after the other, and keeps cookies as a browser does.
_BROWSE = """
import http.client, json, sys, urllib.parse
jar, answers = json.loads(sys.argv[1]), []
for method, path, form, headers in json.loads(sys.argv[2]):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
    headers = {"Host": "wiki.example.org", **headers}
    if jar:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
    body = None
    if form is not None:
        body = urllib.parse.urlencode(form)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    for line in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = line.partition(";")[0].partition("=")
        jar[name] = value
        if value == "deleted":
            del jar[name]
    answers.append([answer.status, answer.getheaders(), answer.read().decode("latin-1")])
    connection.close()
print(json.dumps([jar, answers]))
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def source(self):
        """HIT or FALLBACK."""
        return self.headers.get("x-memfis")

    def field(self, name):
        """The value of a form's hidden field."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.body)
        assert found, name
        return found[1]


class Browser:
    """A visitor with his cookies."""

    def __init__(self, host):
        self._host = host
        self.cookies = {}

    def ask(self, method, path, form=None, **headers):
        step = json.dumps([[method, path, form, headers]])
        done = self._host.run("python3 -c %s %s %s", _BROWSE, json.dumps(self.cookies), step)
        assert done.rc == 0, done.stderr
        self.cookies, [(status, fields, body)] = json.loads(done.stdout)
        names = [name.lower() for name, _ in fields]
        joined = {
            name: ", ".join(value for key, value in fields if key.lower() == name) for name in names
        }
        return Answer(status, joined, body)

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def login(self, name):
        done = self.ask("POST", "/start", {"do": "login", "u": name, "p": "battery-staple"})
        assert done.status in (200, 302)
        assert any(cookie.startswith("DW") for cookie in self.cookies), done.body
        return self

    def edit(self, page, text, action="save"):
        """Write `text`, or look at it before: action `preview`."""
        form = self.get(f"{page}?do=edit")
        assert form.status == 200
        assert form.source == "FALLBACK"
        fields = {name: form.field(name) for name in ("sectok", "id", "date", "changecheck")}
        more = {"prefix": ".", "suffix": "", "target": "section", "rev": "0"}
        sent = {**fields, **more, "wikitext": text, "summary": "said why", f"do[{action}]": "1"}
        done = self.ask("POST", page, sent)
        assert done.status == (302 if action == "save" else 200), done.body
        assert done.source == "FALLBACK"
        return done


@pytest.fixture(scope="session")
def host():
    return testinfra.get_host(f"{ENGINE}://{NAME}")


@pytest.fixture
def browser(host):
    """A visitor nobody knows."""
    return Browser(host)


@pytest.fixture
def ada(host):
    return Browser(host).login("ada")


@pytest.fixture
def bob(host):
    return Browser(host).login("bob")


@pytest.fixture(scope="session")
def eventually():
    """Wait until `ask` returns something true, and return it."""

    def eventually(ask, seconds=15):
        end = time.monotonic() + seconds
        while not (found := ask()) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    return eventually
