"""Which media types there are: ours, those of the host, and those of a site."""

import shutil
import subprocess
from pathlib import Path

import pytest

from memfis.nginx.media_types import MediaTypes
from memfis.settings.media_types import TYPES, all_types, types_in
from memfis.settings.site_parts import TYPES as KIND

LIST = """
types {
    text/html   html htm; # "not" a; comment {
    "text/x-a"  A;
}
"""


def test_a_list_is_read_as_nginx_does() -> None:
    assert types_in(LIST) == {"html": "text/html", "htm": "text/html", "a": "text/x-a"}
    assert types_in("") == {}


def test_ours_fill_what_the_hosts_list_lacks_and_a_sites_own_count_most() -> None:
    found = all_types(LIST + "types { application/javascript js; }", {"HTML": "text/plain"})
    assert (found["mjs"], found["js"]) == ("text/javascript", "application/javascript")
    assert (found["html"], found["htm"]) == ("text/plain", "text/html")


def test_ours_are_types_that_a_site_could_have() -> None:
    assert list(KIND.problems(dict(TYPES), "types", as_text=False)) == []
    assert all(each == each.lower() for each in TYPES)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        (b"/a.mjs", "text/javascript"),
        (b"/a.MJS", "text/javascript"),
        (b"/site.webmanifest", "application/manifest+json"),
        (b"/a.js.map", "application/json"),
        (b"/a.wasm", "application/wasm"),
        (b"/a.md", "text/x-own"),
        (b"/a.html", "text/html; charset=utf-8"),
        (b"/a.unknown", "application/octet-stream"),
    ],
)
def test_the_renderer_knows_them(tmp_path: Path, path: bytes, media_type: str) -> None:
    (tmp_path / "mime.types").write_text(LIST)
    types = MediaTypes.read(str(tmp_path / "mime.types"), None, "utf-8", {"md": "text/x-own"})
    assert types.of(path) == media_type


def test_types_of_a_host_are_those_above_all_servers(tmp_path: Path) -> None:
    """Wherever they are: as nginx itself tells its configuration."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert nginx
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "list").write_text(LIST)
    (tmp_path / "more").write_text("text/x-more more;")
    (tmp_path / "conf.d" / "own.conf").write_text(
        "types { text/x-own own html; include more; }\n"
        "server { listen unix:x; types { text/x-server server; } }\n"
    )
    (tmp_path / "server").write_text("types { text/x-other other; }")
    (tmp_path / "nginx.conf").write_text(
        "pid nginx.pid; events { } http { include list; include conf.d/*.conf;\n"
        "server { listen unix:y; include server; } }"
    )
    done = subprocess.run(
        [nginx, "-T", "-c", tmp_path / "nginx.conf", "-p", tmp_path, "-e", "stderr"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert types_in(done.stdout) == {
        **{"html": "text/x-own", "htm": "text/html", "a": "text/x-a"},
        **{"own": "text/x-own", "more": "text/x-more"},
    }
