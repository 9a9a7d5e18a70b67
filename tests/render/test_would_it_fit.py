"""`memfis doctor` counts the pages that were rendered by now, and says that more may come."""

import json
import random

import pytest

from memfis.layout.keys import page_key
from render.conftest import Rendered
from support.command import memfis, memfis_json
from support.origin import Origin, Reply
from support.process import wait_for

PAGES = 300


def about_rendered(rendered: Rendered) -> list[str]:
    done = memfis("doctor", "--config", rendered.agent.config)
    return [line for line in done.stdout.splitlines() if ": rendered: " in line]


def test_rendered_pages_are_counted_and_take_memory(rendered: Rendered, origin: Origin) -> None:
    chance = random.Random(1)
    bodies = {
        f"/shop/{number % 7}/{number}": chance.randbytes(chance.randrange(100, 30_000)).hex()
        for number in range(PAGES)
    }
    origin.default = lambda path: Reply(bodies.get(path, "").encode())
    for number in range(50):
        (rendered.root / f"{number}.png").write_bytes(chance.randbytes(20_000))
    rendered.start(max_pages=5000)
    before = memfis_json("doctor", "--config", rendered.agent.config)
    assert before["sites"][0]["rendered"] == {"most": 5000, "known": True, "pages": 0, "bytes": 0}
    for path in bodies:
        rendered.hint(path)
    wait_for(lambda: rendered.status()["pages"] == PAGES, "them to be rendered")
    rendered.agent.end()
    ended = "/shop/0/0"
    rendered.store.delete_many([page_key(rendered.NAME, ended.encode())])
    there = [len(body) for path, body in bodies.items() if path != ended]

    document = memfis_json("doctor", "--config", rendered.agent.config)
    [site], [store] = document["sites"], document["stores"]
    counted = {"most": 5000, "known": True, "pages": PAGES - 1, "bytes": sum(there)}
    assert site["rendered"] == counted
    assert site["files"] == 50
    used = rendered.memcached.stats()
    with rendered.memcached.client() as client:
        memory = client.stats("slabs")[b"total_malloced"]
    assert store["items"] == used[b"curr_items"]
    assert store["item_bytes"] == pytest.approx(used[b"bytes"], rel=0.01)
    assert store["needed"] == pytest.approx(memory, rel=0.06)
    assert store["needed"] > before["stores"][0]["needed"] + sum(there) / 4
    [line] = about_rendered(rendered)
    assert line.startswith(
        f"ok       {rendered.NAME}: rendered: counted as the store has them, 299 pages with "
    )
    assert line.endswith("; up to 5,000 (max_pages) may come")


def test_without_a_store_nobody_knows_them(rendered: Rendered, origin: Origin) -> None:
    rendered.start()
    rendered.agent.end()
    rendered.memcached.end()
    assert about_rendered(rendered) == [
        f"ok       {rendered.NAME}: rendered: not counted, as the store does not answer; up to"
        " 100,000 (max_pages) may come"
    ]
    done = memfis("doctor", "--config", rendered.agent.config, "--json")
    assert done.returncode == 3
    [site] = json.loads(done.stdout)["sites"]
    assert site["rendered"] == {"most": 100_000, "known": False, "pages": 0, "bytes": 0}
