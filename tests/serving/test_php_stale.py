"""A page past its freshness is served while it is rendered again (RFC 5861, section 3)."""

import time
from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote_to_bytes

from memfis.layout.keys import body_of, head_of, page_key
from support.http import Connection
from support.nginx import Site, Web
from support.php import PhpFpm, kept_site
from support.ports import free_port
from support.process import wait_for

FRONT = b"""<?php
$beside = dirname($_SERVER['DOCUMENT_ROOT']);
$page = basename($_SERVER['REQUEST_URI']);
file_put_contents("$beside/asked", "$page\n", FILE_APPEND | LOCK_EX);
foreach (file("$beside/headers.$page", FILE_IGNORE_NEW_LINES) as $line) {
    header($line, false);
}
usleep((int) @file_get_contents("$beside/usleep"));
echo '<html>', hrtime(true), '</html>';
"""

SERVED = {
    "application": "Cache-Control: max-age=3, stale-while-revalidate=60",
    "site": "Cache-Control: max-age=3",
    "purged": "Cache-Control: max-age=3",
    "c%C3%A4che%22s": "Surrogate-Control: max-age=3+60",
}
"""What pages say that are served when they are stale, by their URLs; the site's bound is 60 s."""

NOT_SERVED = {
    "over": "Cache-Control: max-age=3, stale-while-revalidate=1",
    "none": "Cache-Control: max-age=3, stale-while-revalidate=0",
    "must": "Cache-Control: max-age=3, stale-while-revalidate=60, must-revalidate",
    "proxy": "Cache-Control: max-age=3, stale-while-revalidate=60, proxy-revalidate",
    "shared": "Cache-Control: s-maxage=3",
    "accel": "X-Accel-Expires: 3\nCache-Control: no-cache",
}
"""Those of pages that are not, though they were in memory."""


def make_stale(site: Site, pages: Mapping[str, str]) -> None:
    """Get `pages` into memory, and go on when none of them is fresh any more."""
    site.write("index.php", FRONT)
    for page, said in pages.items():
        (site.root.parent / f"headers.{page}").write_text(said)
    for page in pages:
        wait_for(partial(is_hit, site, page), f"{page} in memory")
    # Those that were just asked for are rendered once more before they expire.
    wait_for(lambda: all(asked(site, page) > 2 for page in pages), "all to be rendered again")
    time.sleep(5.5)


def is_hit(site: Site, page: str) -> bool:
    """Whether memory answers."""
    return site.get(f"/{page}").source == "HIT"


def asked(site: Site, page: str) -> int:
    """Return how often PHP was asked for the page."""
    return (site.root.parent / "asked").read_text().splitlines().count(page)


def test_stale_pages_are_served_while_one_render_is_under_way(web: Web, php: PhpFpm) -> None:
    with kept_site(
        web,
        php,
        {"stale_while_revalidate": 60},
        listen=[f"unix:{web.directory}/site.example.public", f"127.0.0.1:{free_port()}"],
        from_memory="lua",
        default_type="text/html",
        charset="utf-8",
    ) as site:
        make_stale(site, SERVED | NOT_SERVED)
        for page in NOT_SERVED:
            assert not is_hit(site, page), page
        purge(site, "/purged")
        assert not is_hit(site, "purged")
        (site.root.parent / "usleep").write_text("700000")
        for page in SERVED.keys() - {"purged"}:
            is_rendered_once(site, page)
            key = page_key(site.name, unquote_to_bytes(f"/{page}"))
            found = [exists(web, each) for each in (key, head_of(key), body_of(key))]
            assert found == [False, True, True], "memcached_pass would take it for fresh"
    # Nobody would render it again now.
    (site.root.parent / "usleep").unlink()
    time.sleep(4)
    for _ in range(2):
        before = asked(site, "site")
        assert not is_hit(site, "site")
        assert asked(site, "site") == before + 1
        time.sleep(1.1)


def is_rendered_once(site: Site, page: str) -> None:
    """Ask for a stale page until it is rendered again, which takes more than half a second."""
    before = asked(site, page)
    first = site.get(f"/{page}")
    answers = [first]
    while answers[-1].body == first.body:
        answers.append(site.get(f"/{page}"))
        assert answers[-1].source == "HIT"
        assert answers[-1].header("Cache-Control") == first.header("Cache-Control")
    *stale, fresh = answers
    assert len(stale) > 1
    assert all(int(answer.header("Age") or 0) > 2 for answer in stale)
    assert int(fresh.header("Age") or 0) <= 2
    assert asked(site, page) == before + 1


def exists(web: Web, key: bytes) -> bool:
    """Whether the item is in the store."""
    with web.store.client() as client:
        return client.get(key) is not None


def purge(site: Site, target: str) -> None:
    """Purge a page by HTTP, as the application does, from the host itself."""
    port = int(site.settings["listen"][1].rpartition(":")[2])
    with Connection(("127.0.0.1", port)) as connection:
        assert connection.ask(target, "PURGE").status == 200
