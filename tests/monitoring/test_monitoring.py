"""What is in monitoring/, with a real Prometheus that asks a real agent and a real gateway."""

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from signal import SIGQUIT, SIGUSR1, SIGUSR2
from typing import Any, Self

import httpx
import pytest
import yaml

from memfis.layout.keys import page_key
from support.agent import Agent
from support.directory import reachable_directory
from support.gateway import Gateway
from support.memcached import Memcached, small_items
from support.nginx import Nginx, Site
from support.origin import Origin, Reply
from support.ports import answers, free_port
from support.process import PATIENCE, wait_for
from support.prometheus import Prometheus, promtool
from support.raw import Raw
from support.tls import Certificate

MONITORING = Path(__file__).parents[2] / "monitoring"
RULES = MONITORING / "prometheus-rules.yml"
DASHBOARD = MONITORING / "grafana-dashboard.json"

WINDOW = "4s"
"""What all windows of time are made."""

DAY = "12s"
"""How long ago a day ago is."""


def shortened(rules: str, *, looked_at: str = "1800") -> str:
    """Return `rules` whose alerts fire within seconds; `looked_at`: the limit of one in seconds."""
    rules = re.sub(r"(?m)^( +for): \w+$", r"\1: 0s", rules)
    rules = re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", rules)
    return rules.replace("offset 1d", f"offset {DAY}").replace("> 1800", f"> {looked_at}")


class Asking:
    """Asks as visitors do, again and again, until it ends."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def _go_on(self) -> None:
        while not self._ending.wait(0.01):
            self._ask()

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._ending.set()
        self._thread.join()


class Watched:
    """Sites, stores, an agent and a gateway, and a Prometheus that asks them."""

    def __init__(self, directory: Path, apart: Path) -> None:
        self.directory, self.apart = directory, apart
        self.main = Memcached(directory)
        self.roots = {name: directory / name for name in ("whole", "held", "lost", "full", "php")}
        self.small = Memcached(apart, *small_items(), "-m", "2")
        self.origin = Origin(directory / "origin.sock")
        self.hints = directory / "hints.sock"
        stores = {"full": self.small}
        sites: list[dict[str, object]] = [
            {
                "name": f"{name}.example",
                "root": str(root),
                "store": f"memcached://{stores.get(name, self.main).socket}",
                "delete_grace": 60,
            }
            for name, root in self.roots.items()
        ]
        self.first_level = apart / "first-level.sock"
        sites[0] |= {"from_memory": "lua", "first_level": str(self.first_level)}
        sites[-1] |= {
            "origin": str(self.origin.socket),
            "index": ["index.php", "index.html"],
            "charset": "utf-8",
            "php": {"canonical": "http://php.example", "hints": str(self.hints), "timeout": 2},
        }
        agent, gateway = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.addresses = agent, gateway
        self.agent = Agent(directory, {"metrics": agent}, sites)
        self.gateway = Gateway(directory, metrics=gateway, max_connections=8)
        self.prometheus = Prometheus(directory)
        self.rules = directory / RULES.name
        self.rules.write_text(shortened(RULES.read_text()))
        given = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        jobs = given["scrape_configs"]
        assert [job["static_configs"][0]["targets"] for job in jobs] == [
            ["127.0.0.1:9180"],
            ["127.0.0.1:9181"],
        ]
        for job, target in zip(jobs, (agent, gateway), strict=True):
            job["scrape_interval"] = "250ms"
            job["static_configs"][0]["targets"] = [target]
        given["global"] = {"evaluation_interval": "250ms"}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(given))
        self.asked = b"/0.html"
        self.asking = Asking(self._ask_store)
        self.visiting = Asking(lambda: self.site.get(self.asked))

    def _ask_store(self) -> None:
        with Raw(self.main.socket) as client:
            client.ask(b"get %b\r\n" % page_key("whole.example", self.asked))

    @contextmanager
    def running(self) -> Iterator[Self]:
        for root in self.roots.values():
            root.mkdir()
            for number in range(30):
                (root / f"{number}.html").write_text(str(number))
        whole = {"from_memory": "lua", "root": str(self.roots["whole"])}
        self.site = Site(self.apart, self.main, "whole.example", **whole)
        nginx = Nginx(self.apart, self.site)
        with ExitStack() as stack:
            for part in (self.main, self.small, self.origin, nginx, self.agent, self.gateway):
                part.start()
                stack.callback(part.end)
            self.prometheus.start()
            stack.callback(self.prometheus.end)
            for asking in (self.asking, self.visiting):
                asking.start()
                stack.callback(asking.end)
            yield self

    def hint(self, told: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nginx:
            nginx.sendto(told, str(self.hints))

    def visit(self, path: str) -> None:
        """Tell the agent what nginx tells when PHP answered for `path`."""
        told = {"site": "php.example", "uri": path, "kept_by": "session", "proxy": ""}
        self.hint(b"<190>Nov 26 19:00:00 memfis: " + json.dumps(told).encode())

    def fires(self, *names: str) -> None:
        """Wait until each of the alerts `names` has fired, with texts that a person can act on."""
        missing = set(names)

        def fired() -> bool:
            for name, alerts in self.prometheus.firing().items():
                missing.discard(name)
                for text in (alerts[0]["annotations"][each] for each in ("summary", "remedy")):
                    assert "{{" not in text
                    assert "<no value>" not in text
                assert alerts[0]["annotations"]["summary"].startswith("web1.example.org: ")
            return not missing

        with suppress(AssertionError):
            wait_for(fired, "alerts", 60)
        assert missing == set()


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with (
        reachable_directory() as directory,
        reachable_directory() as apart,
        Watched(directory, apart).running() as watched,
    ):
        yield watched


def dashboard() -> list[tuple[str, str]]:
    """Return the title of each panel of the dashboard, and an expression of it."""
    return [
        (panel["title"], target["expr"])
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_takes_the_files() -> None:
    assert "SUCCESS" in promtool("check", "config", MONITORING / "prometheus.yml")


def test_each_alert_says_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule
        assert set(rule["annotations"]) == {"summary", "remedy"}, rule


def test_every_expression_has_a_value(watched: Watched) -> None:
    prometheus = watched.prometheus
    # What there is only once it happened.
    watched.origin.default = lambda path: Reply(
        headers=[("Set-Cookie", "own=1")] if path == "/own" else ()
    )
    for path in ("/page", "/own"):
        watched.visit(path)
    watched.hint(b"junk")
    assert watched.site.get("/missing").status == 404
    dangling = watched.roots["whole"] / "dangling"
    dangling.symlink_to("nowhere")
    with Raw(watched.gateway.socket) as client:
        assert client.ask(b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
        wait_for(lambda: prometheus.values("memfis_gateway_commands_total") != [], "the gateway")
        assert client.ask(b"get k\r\n").startswith(b"VALUE k ")
    refused = "sum(memfis_render_refusals_total) > 0 and sum(memfis_hints_malformed_total) > 0"
    wait_for(lambda: prometheus.values(refused) != [], "what the agent counts")

    expressions = dashboard()
    assert len(expressions) > 50
    site, instance = "whole.example|php.example", "web1.example.org"
    names = set()
    for title, expression in expressions:
        names |= set(re.findall(r"\b(memfis_\w+|up)\b", expression))
        chosen = expression.replace("$__rate_interval", WINDOW).replace("[1h]", f"[{WINDOW}]")
        chosen = chosen.replace("$site", site).replace("$instance", instance)
        wait_for(lambda asked=chosen: prometheus.values(asked) != [], f"{title}: {chosen}")  # type: ignore[misc]
    for rule in alerts():
        names |= set(re.findall(r"\b(memfis_\w+|up)\b", rule["expr"]))
    for name in names:
        assert prometheus.values(name) != [], name
    # Every figure that there is has its place.
    exposed = {each["metric"]["__name__"] for each in prometheus.values('{__name__=~"memfis_.*"}')}
    shown = {f"{name}{end}" for name in names for end in ("", "_created")}
    families = {re.sub(r"_seconds_(sum|count)$", "_seconds_bucket", name) for name in exposed}
    assert families - shown == {"memfis_site_held_until_timestamp_seconds"} & families
    dangling.unlink()


def test_the_dashboards_choices_are_there(watched: Watched) -> None:
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            assert found is not None
            expression = found[1].replace("$instance", ".*")
            values = watched.prometheus.values(expression)
            assert values != []
            assert all(each["metric"][found[2]] for each in values)


def test_nginx_passes_the_figures_on_to_whom_it_may(watched: Watched) -> None:
    certificate = Certificate(watched.directory, "web1.example.org")
    port = free_port()
    text = (MONITORING / "nginx-metrics.conf").read_text()
    here = {
        "9443": str(port),
        "/etc/letsencrypt/live/web1.example.org/fullchain.pem": str(certificate.certificate),
        "/etc/letsencrypt/live/web1.example.org/privkey.pem": str(certificate.key),
        "127.0.0.1:9180": watched.addresses[0],
        "127.0.0.1:9181": watched.addresses[1],
    }
    for theirs, ours in here.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    trust = ssl.create_default_context(cafile=certificate.certificate)
    trust.check_hostname = False  # it is asked by its address

    def ask(path: str) -> httpx.Response:
        return httpx.get(f"https://127.0.0.1:{port}{path}", verify=trust, timeout=PATIENCE)

    nginx = Nginx(watched.directory, more=text.replace("192.0.2.10", "127.0.0.1"))
    nginx.start()
    wait_for(lambda: answers(port), "nginx")
    assert "memfis_site_pages{" in ask("/agent").text
    assert "memfis_gateway_breaker_open " in ask("/gateway").text
    assert ask("/").status_code == 404
    nginx.end()
    nginx = Nginx(watched.directory, more=text)
    nginx.start()
    wait_for(lambda: answers(port), "nginx")
    assert ask("/agent").status_code == ask("/gateway").status_code == 403
    nginx.end()


def test_visitors_hits_are_counted_as_the_page_says(watched: Watched) -> None:
    text = (MONITORING.parent / "docs" / "monitoring.md").read_text()
    [log_format] = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    [extra] = re.findall(r"```yaml\n(extra: .*?)```", text, re.DOTALL)
    [command] = re.findall(r"^    (sort .*)$", text, re.MULTILINE)
    with reachable_directory() as directory:
        lines = yaml.safe_load(extra)["extra"].replace("/var/log/nginx", str(directory))
        site = Site(directory, watched.main, "www.example.org", extra=lines)
        site.put("/page.html", b"from memory")
        site.write("disk.html", b"from disk")
        nginx = Nginx(directory, site, patient=True)
        sites = directory / "sites.conf"
        sites.write_text(log_format + sites.read_text())  # as conf.d stands before sites-enabled
        nginx.start()
        for path in ("/page.html", "/disk.html", "/page.html", "/page.html", "/disk.html"):
            assert site.get(path).status == 200
        nginx.end(SIGQUIT)
        counted = subprocess.run(
            command.replace("/var/log/nginx", str(directory)),
            shell=True,
            check=True,
            capture_output=True,
            text=True,
        )
        assert counted.stdout.split() == ["2", "FALLBACK", "3", "HIT"]
        assert len((directory / "access.log").read_text().splitlines()) == 5


def test_each_alert_fires_and_none_when_all_is_well(watched: Watched) -> None:
    prometheus = watched.prometheus
    wait_for(lambda: not prometheus.values("rate(memfis_hints_malformed_total[4s]) > 0"), "quiet")
    firing = partial(prometheus.values, 'ALERTS{alertstate="firing"}')
    wait_for(lambda: not firing(), "the alerts of what tests did before to end")
    fired: set[str] = set()

    def fires(*names: str) -> None:
        watched.fires(*names)
        fired.update(names)

    with ExitStack() as stack:
        # The gateway and its database: slow, too many clients, gone.
        watched.gateway.signal(SIGUSR2)
        client = stack.enter_context(Raw(watched.gateway.socket))
        assert client.ask(b"get never\r\n") == b"END\r\n"
        fires("MemfisGatewaySlow")
        watched.gateway.signal(SIGUSR2)
        for _ in range(12):
            more = socket.socket(socket.AF_UNIX)
            stack.callback(more.close)
            more.connect(str(watched.gateway.socket))
        watched.gateway.signal(SIGUSR1)
        for number in range(5):
            assert client.ask(b"get other%d\r\n" % number).startswith(b"SERVER_ERROR ")

        # Sites.
        for number in range(30):
            (watched.roots["held"] / f"{number}.html").unlink()
        watched.roots["lost"].rename(watched.directory / "moved")
        (watched.roots["whole"] / "dangling").symlink_to("nowhere")
        (watched.roots["full"] / "large.bin").write_bytes(bytes(range(256)) * 400)
        with watched.small.client() as store:
            for number in range(400):
                store.set(f"junk{number}", b"x" * 10_000, noreply=False)
        watched.origin.default = lambda path: Reply(status=502)
        watched.visit("/broken")
        for _ in range(3):
            watched.hint(b"junk")
        watched.asked = b"/never.html"
        fires(
            "MemfisGatewayBreakerOpen",
            "MemfisGatewayErrors",
            "MemfisGatewayRejectsClients",
            "MemfisDeletionsHeld",
            "MemfisWebRootMissing",
            "MemfisChangesNotWatched",
            "MemfisPagesNotInMemory",
            "MemfisPagesRefused",
            "MemfisStoreEvicts",
            "MemfisStoreHitsFall",
            "MemfisVisitorsHitsFall",
            "MemfisRendersFail",
            "MemfisHintsMalformed",
        )

    watched.asking.end()
    watched.main.end()
    fires("MemfisReaderFails", "MemfisStoreAway")
    watched.visiting.end()
    (watched.roots["whole"] / "0.html").write_text("changed")
    watched.rules.write_text(shortened(RULES.read_text(), looked_at="2"))
    prometheus.reload()
    fires("MemfisChangesPending", "MemfisSiteNotLookedAt")

    watched.agent.end()
    watched.gateway.end()
    fires("MemfisAgentDown", "MemfisGatewayDown")
    assert fired == {rule["alert"] for rule in alerts()}
