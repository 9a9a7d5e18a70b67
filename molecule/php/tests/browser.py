"""Visitors of a site on a host, asked from inside, so that any engine will do."""

import json
import re
from dataclasses import dataclass

# Asks for one thing after the other, and keeps cookies as a browser does.
_BROWSE = """
import http.client, json, ssl, sys, urllib.parse
jar, answers = json.loads(sys.argv[1]), []
port, source = json.loads(sys.argv[4])
for method, path, form, headers in json.loads(sys.argv[2]):
    options = {"timeout": 60, "source_address": (source, 0)}
    if port == 80:
        connection = http.client.HTTPConnection("127.0.0.1", port, **options)
    else:
        # The certificate is nobody's.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, **options)
    headers = {"Host": sys.argv[3], **headers}
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
        found = re.search(rf'name=["\']{name}["\'][^>]* value=["\']([^"\']*)["\']', self.body)
        assert found, name
        return found[1]


class Browser:
    """A visitor of `site` with his cookies, who comes from `source`; by TLS, but for port 80."""

    site = ""
    port = 80

    def __init__(self, host, source="127.0.0.1"):
        self._host = host
        self._from = json.dumps([self.port, source])
        self.cookies = {}

    def ask(self, method, path, form=None, **headers):
        step = json.dumps([[method, path, form, headers]])
        jar = json.dumps(self.cookies)
        arguments = (jar, step, self.site, self._from)
        done = self._host.run("python3 -c %s %s %s %s %s", _BROWSE, *arguments)
        assert done.rc == 0, done.stderr
        self.cookies, [(status, fields, body)] = json.loads(done.stdout)
        names = [name.lower() for name, _ in fields]
        joined = {
            name: ", ".join(value for key, value in fields if key.lower() == name) for name in names
        }
        return Answer(status, joined, body)

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)


def hit(browser, path):
    """The answer, if it comes from memory."""
    answer = browser.get(path)
    return answer if answer.source == "HIT" else None


# Half of all are nobody, the others one of two editors with a session each.
_CROWD = """
import http.client, json, sys
from concurrent.futures import ThreadPoolExecutor
site, jars, paths, names, visitors = json.loads(sys.argv[1])

def ask(number):
    who = [None, "ada", None, "bob"][number % 4]
    path = paths[number // 4 % 5].replace("%d", str(number // 40))
    headers = {"Host": site}
    if who:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jars[who].items())
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode("latin-1")
    cookies = answer.headers.get_all("Set-Cookie") or []
    connection.close()
    wrong = []
    if answer.status not in (200, 404):
        wrong.append(f"status {answer.status}")
    for name, shown in names.items():
        if (shown in body) != (name == who):
            wrong.append(f"{shown} {'missing' if name == who else 'shown'}")
    for jar in jars.values():
        # Short ones are no secrets, as the number of a user.
        secrets = [value for value in jar.values() if len(value) >= 16]
        if not who and (cookies or any(secret in body for secret in secrets)):
            wrong.append(f"cookies {cookies}")
    if who and answer.getheader("X-Memfis") != "FALLBACK":
        wrong.append("from memory")
    return answer.getheader("X-Memfis"), [f"{who} {path}: {each}" for each in wrong]

with ThreadPoolExecutor(24) as pool:
    done = list(pool.map(ask, range(visitors)))
print(json.dumps([[source for source, _ in done].count("HIT"), sum((w for _, w in done), [])]))
"""


def crowd(host, site, paths, names, jars, visitors=1000):
    """Let `visitors` come at once; return how many HITs they saw, and what was wrong.

    `names`: what a page shows to whom of ada and bob alone. In `paths` %d is a number.
    """
    done = host.run("python3 -c %s %s", _CROWD, json.dumps([site, jars, paths, names, visitors]))
    assert done.rc == 0, done.stderr
    hits, wrong = json.loads(done.stdout)
    return hits, wrong
