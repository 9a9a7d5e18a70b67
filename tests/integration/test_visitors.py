"""What visitors got, as nginx counts it: in `memfis status`, `memfis top`, and for Prometheus."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.test_top import lines
from memfis.errors import ProgramError
from memfis.nginx.first_level import counted
from support.agent import Agent
from support.command import memfis, memfis_json
from support.nginx import Site, Web
from support.process import PATIENCE

RATES = ("hits_per_second", "fallbacks_per_second")
REST = {"not_modified": 1, "fallbacks": {"absent": 2, "range": 1}}


@dataclass
class Served:
    """A site that nginx reads by Lua and an agent keeps."""

    web: Web
    site: Site
    agent: Agent

    @property
    def flags(self) -> tuple[str, Path]:
        return ("--config", self.agent.config)

    def visit(self) -> None:
        """Ask as visitors do: three times with success, and see REST."""
        etag = [self.site.get("/a.html").header("ETag") for _ in range(3)][-1]
        assert self.site.get("/a.html", headers={"If-None-Match": str(etag)}).status == 304
        for _ in range(2):
            assert self.site.get("/missing").status == 404
        assert self.site.get("/a.html", headers={"Range": "bytes=0-1"}).status == 206

    def status(self) -> Any:
        [document] = memfis_json("status", *self.flags)["sites"]
        return document


@pytest.fixture
def served(directory: Path) -> Iterator[Served]:
    web = Web(directory)
    site = web.site(from_memory="lua")
    site.write("a.html", b"page")
    web.start()
    table = {
        "name": site.name,
        "root": str(site.root),
        "store": f"memcached://{web.store.socket}",
        "from_memory": "lua",
        "first_level": str(web.nginx.told),
    }
    agent = Agent(directory, {"metrics": f"unix:{directory}/metrics.sock"}, [table])
    agent.start()
    yield Served(web, site, agent)
    agent.end()
    web.end()


def test_what_visitors_got(served: Served) -> None:
    assert served.status()["visitors"] == {"hits": 0, "not_modified": 0, "fallbacks": {}}
    looks = lines(served.agent)
    next(looks)
    served.visit()
    rates = [next(looks)["visitors"][served.site.name]]
    while not all(any(each[rate] for each in rates) for rate in RATES):
        rates.append(next(looks)["visitors"][served.site.name])
    looks.close()
    assert served.status()["visitors"] == {"hits": 3, **REST}
    told = memfis("status", *served.flags).stdout
    visitors = "visitors since nginx was started: 3 hits, 1 not modified, 3 from the fallback"
    assert f"  {visitors} (57.1% from memory)\n" in told
    assert "  from the fallback: 2 absent, 1 range\n" in told
    assert "  first level: 64 MiB, room for every page that was asked for\n" in told

    said = [
        each["message"]
        for each in memfis_json("doctor", *served.flags)["findings"]
        if each["check"] == "first level"
    ]
    none = "no page had to go for another since nginx was started"
    assert said == [f"about 8 MiB hold every page of site.example; it has 64 MiB, and {none}"]

    transport = httpx.HTTPTransport(uds=str(served.agent.settings["metrics"])[5:])
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        figures = client.get("http://localhost/metrics").text
        labels = '{{answer="{}",reason="{}",site="site.example"}}'
        for answer, reason, number in (
            *(("hit", "", 3), ("not_modified", "", 1)),
            *(("fallback", "absent", 2), ("fallback", "range", 1)),
        ):
            line = f"memfis_visitors_total{labels.format(answer, reason)} {number}.0\n"
            assert line in figures
        assert f'part="large",socket="{served.web.nginx.told}"}} 2.5165824e+07' in figures
        served.web.nginx.end()
        assert "memfis_visitors" not in client.get("http://localhost/metrics").text
    assert served.status()["visitors"] is None
    assert "visitors since" not in memfis("status", *served.flags).stdout


def test_nginx_that_does_not_tell(served: Served) -> None:
    path = served.web.nginx.told
    served.web.nginx.end()
    path.unlink(missing_ok=True)
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    answers = {
        ok + b"site": "tells nonsense: 'site'",
        ok + b"sit": "tells no figures: IncompleteRead",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n": "tells no figures: it answered 500",
        b"nonsense\r\n\r\n": "tells no figures: nonsense",
        b"": "no answer within 1 s",
    }
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer(text: bytes) -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(text)
                if not text:
                    client.recv(1)

        for text, told in answers.items():
            nginx = threading.Thread(target=answer, args=[text])
            nginx.start()
            with pytest.raises(ProgramError, match=re.escape(told)):
                counted(str(path))
            nginx.join()
        nginx = threading.Thread(target=answer, args=[ok + b"site"])
        nginx.start()
        done = memfis("status", *served.flags)
        nginx.join()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  visitors: nginx at {path} tells nonsense: 'site'\n" in done.stdout
    assert counted(str(path)) is None, "nobody listens any more"
