"""What kept visitors from memory, and through whom they come: counted by the agent, and said."""

import json
import subprocess
from pathlib import Path

import httpx

from memfis.render.visitors import ANOTHER_HOST, NAMES, OTHERS, Visitors
from render.conftest import Rendered
from support.command import COMMAND, environment, memfis
from support.process import wait_for


def told(rendered: Rendered, **more: str) -> None:
    """Tell what nginx tells of an answer that was for one visitor."""
    text = json.dumps({"site": rendered.NAME, "uri": "", **more})
    rendered.send(f"<190>Nov 26 19:00:00 memfis: {text}".encode())


def test_status_and_figures_name_the_cookies(rendered: Rendered) -> None:
    metrics = rendered.directory / "metrics.sock"
    rendered.agent.settings["metrics"] = f"unix:{metrics}"
    rendered.start()
    for kept_by in ("PHPSESSID", "PHPSESSID", "wordpress_logged_in_0123abcdef", ANOTHER_HOST, ""):
        told(rendered, kept_by=kept_by)
    told(rendered, kept_by="evil\nname")
    wait_for(lambda: rendered.status()["visitors"]["answered"] == 6, "all to be counted")
    counted = rendered.status()["visitors"]
    assert counted["cookies"] == {"PHPSESSID": 2, "wordpress_logged_in_*": 1, OTHERS: 1}
    assert counted["elsewhere"] == 1
    text = memfis("status", "--config", rendered.agent.config).stdout
    assert "kept from memory by a cookie: 2 PHPSESSID, 1 wordpress_logged_in_*, 1 others" in text
    assert "kept from memory by their host or scheme: 1 " in text
    assert "proxy" not in text
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(metrics))) as http:
        figures = http.get("http://localhost/metrics").text.splitlines()
    kept = f'memfis_kept_from_memory_total{{by="PHPSESSID",site="{rendered.NAME}"}} 2.0'
    assert kept in figures
    assert f'memfis_php_answered_total{{site="{rendered.NAME}"}} 6.0' in figures


def findings(config: Path) -> list[str]:
    """Return what the doctor says of proxies."""
    found = json.loads(memfis("doctor", "--config", config, "--json").stdout)["findings"]
    return [each["message"] for each in found if each["check"] == "proxies"]


def test_a_proxy_that_no_setting_names_is_told(rendered: Rendered) -> None:
    rendered.start()
    for _ in range(19):
        told(rendered, proxy="10.0.0.5")
    wait_for(lambda: rendered.status()["visitors"]["answered"] == 19, "all to be counted")
    assert findings(rendered.agent.config) == []
    for _ in range(20):
        told(rendered, proxy="10.0.0.5")
    told(rendered)
    told(rendered, proxy="10.0.0.6")
    wait_for(lambda: rendered.status()["visitors"]["answered"] == 41, "all to be counted")
    assert "10.0.0.5" in memfis("status", "--config", rendered.agent.config).stdout
    [message] = findings(rendered.agent.config)
    assert message.startswith("39 of 41 requests to PHP came through 10.0.0.5 ")
    for _ in range(10):  # most, but by far not all
        told(rendered)
    wait_for(lambda: rendered.status()["visitors"]["answered"] == 51, "all to be counted")
    assert findings(rendered.agent.config) == []


def test_names_are_bounded() -> None:
    visitors = Visitors()
    for number in range(1000):
        visitors.note(f"name{number:03d}x", f"10.0.{number // 250}.{number % 250}")
    assert len(visitors.cookies) == len(visitors.forwarded) == NAMES + 1
    assert visitors.cookies[OTHERS] == 1000 - NAMES
    assert visitors.unnamed_proxy is None


def test_top_says_how_much_php_answers(rendered: Rendered) -> None:
    rendered.start()
    command = [*COMMAND, "top", "--json", "-i", "0.3", "-c", str(rendered.agent.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as top:
        assert top.stdout is not None
        told(rendered)
        rates = (json.loads(line)["php_per_second"] for line in top.stdout)
        assert next(rates) == {}  # nothing to compare with
        for _ in range(3):
            told(rendered)
        assert next(rate[rendered.NAME] for rate in rates if rate[rendered.NAME]) > 0
        top.terminate()
