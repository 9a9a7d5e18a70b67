"""Rendered pages and files of one site: neither takes the other's place, or is told as wrong."""

import os
import shutil
from urllib.parse import unquote_to_bytes

from memfis.filesystem import Caller, open_site
from memfis.layout.keys import DIRECTORY, directory_key
from memfis.render.records import Records
from render.conftest import Rendered
from support.command import memfis, memfis_json
from support.origin import Origin, Reply
from support.process import wait_for


def everything(rendered: Rendered, origin: Origin, *paths: str, **php: object) -> None:
    origin.default = lambda path: Reply(b"rendered " + unquote_to_bytes(path))
    rendered.start(**php)
    for path in paths:
        rendered.hint(path)
        rendered.has(path, f"rendered {path}".encode())


def config(rendered: Rendered) -> tuple[str, str]:
    return ("--config", str(rendered.agent.config))


def is_well(rendered: Rendered) -> None:
    done = memfis("verify", *config(rendered))
    assert done.returncode == 0, done.stdout + done.stderr


PATHS = ("/", "/blog", "/blog/", "/blog/hello/", "/blog/hello/more", "/docs/new", "/a b/é")


def test_a_sync_keeps_what_was_rendered(rendered: Rendered, origin: Origin) -> None:
    (rendered.root / "docs").mkdir()
    (rendered.root / "docs" / "old.html").write_text("a file")
    everything(rendered, origin, *PATHS)
    for options in ((), ("--checksum",), ("--max-delete", "0")):
        report = memfis_json("sync", *config(rendered), *options)["sites"][0]
        assert (report["pages"], report["removed"]) == (1, 0)
        is_well(rendered)
    rendered.agent.end()
    report = memfis_json("sync", *config(rendered), "--checksum", "--max-delete", "0")["sites"][0]
    assert (report["pages"], report["removed"]) == (1, 0)
    is_well(rendered)
    assert all(rendered.content(path) == f"rendered {path}".encode() for path in PATHS)


def test_a_file_that_went_with_the_records_of_its_directory(
    rendered: Rendered, origin: Origin
) -> None:
    """Records that are made anew for a rendered page must not hide that others were lost."""
    (rendered.root / "docs").mkdir()
    (rendered.root / "docs" / "old.html").write_text("a file")
    everything(rendered, origin, "/docs/new")
    rendered.agent.end()
    (rendered.root / "docs" / "old.html").unlink()
    rendered.store.delete_many([directory_key(rendered.NAME, b"/docs/")])
    records = Records(rendered.site, rendered.store)
    records.record(b"/docs/new", records.entry(b"/docs/new", 0, 9, now=0.0, stale=False))
    assert rendered.content("/docs/old.html") == b"a file"
    memfis_json("sync", *config(rendered), "--max-delete", "100%")
    assert rendered.content("/docs/old.html") is None
    assert rendered.content("/docs/new") == b"rendered /docs/new"
    is_well(rendered)


def test_looking_into_the_store(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, *PATHS)
    flags = config(rendered)
    listed = memfis("ls", *flags, "/blog/").stdout.splitlines()
    assert listed == ["./", "hello/"]
    assert memfis("ls", *flags, "/").stdout.splitlines() == ["./", "a b/", "blog", "blog/", "docs/"]
    entries = memfis_json("ls", *flags, "/docs/")["entries"]
    assert [(each["name"], each["origin"]) for each in entries] == [("new", "rendered")]
    for path in ("/blog", "/blog/", "/blog/hello/"):
        told = memfis_json("stat", *flags, path)
        assert told["record"]["origin"] == "rendered"
        assert told["page"]["expires_in"] > 200
        assert memfis("cat", *flags, path).stdout == f"rendered {path}"


def test_a_file_wins(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, "/page", "/docs/", "/below/x")
    (rendered.root / "page").write_text("the file")
    rendered.has("/page", b"the file")
    rendered.hint("/page")
    (rendered.root / "docs").mkdir()
    (rendered.root / "docs" / "index.html").write_text("not under /docs/ with this index")
    (rendered.root / "below").write_text("a file where a directory was")
    rendered.has("/below", b"a file where a directory was")
    rendered.hint("/below/x")
    wait_for(
        lambda: (
            rendered.status()["figures"]["refusals"].keys()
            >= {"a file on disk", "below a file on disk"}
        ),
        "refusals",
    )
    assert rendered.content("/page") == b"the file"
    assert rendered.content("/below/x") is None
    is_well(rendered)
    wait_for(lambda: rendered.ttl("/docs/") is None, "the page of a directory with a file to go")
    (rendered.root / "page").unlink()
    wait_for(lambda: rendered.ttl("/page") is None, "the file's page to go")
    is_well(rendered)


def test_a_directory_that_goes_takes_nothing_for_ever(rendered: Rendered, origin: Origin) -> None:
    (rendered.root / "blog").mkdir()
    (rendered.root / "blog" / "logo.png").write_bytes(b"png")
    for number in range(10):
        (rendered.root / f"{number}.html").write_text("a file")
    everything(rendered, origin, "/blog/", "/blog/hello", "/blog/2026/hello")
    shutil.rmtree(rendered.root / "blog")
    wait_for(lambda: rendered.ttl("/blog/logo.png") is None, "the file's page to go")
    for path in ("/blog/", "/blog/hello", "/blog/2026/hello"):
        rendered.hint(path)
        rendered.has(path, f"rendered {path}".encode())
    rendered.agent.end()
    rendered.agent.start()
    is_well(rendered)
    wait_for(lambda: rendered.status()["pages"] == 3, "the pages to be known again")
    is_well(rendered)


def test_an_agent_knows_what_another_had_rendered(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, *PATHS)
    rendered.agent.kill_alone()
    asked = len(origin.asked)
    rendered.agent.start()
    wait_for(lambda: rendered.status()["pages"] == len(PATHS), "the pages to be known again")
    for path in PATHS:
        rendered.hint(path)
    wait_for(lambda: rendered.status()["figures"]["hints"].get("queued") == len(PATHS), "hints")
    wait_for(lambda: rendered.status()["waiting"] == 0, "them to be dealt with")
    assert len(origin.asked) == asked


def test_records_of_pages_that_ended_are_cleaned_up(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, *PATHS)
    rendered.agent.end()
    before = memfis_json("ls", *config(rendered), "/")["entries"]
    assert before
    for path in PATHS:
        rendered.store.delete_many(
            [b"memfis://" + rendered.NAME.encode() + path.replace(" ", "%20").encode()]
        )
    is_well(rendered)
    rendered.agent.start()
    wait_for(lambda: not memfis_json("ls", *config(rendered), "/")["entries"], "no records")
    wait_for(
        lambda: (
            [key for key in rendered.store.all_keys() if key.startswith(DIRECTORY)]
            == [b"memfis-dir://" + rendered.NAME.encode() + b"/"]
        ),
        "no directories that hold nothing",
    )


def test_a_store_that_was_emptied_is_filled_again(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, "/", "/blog/hello", render=["/"])
    rendered.memcached.end()
    rendered.memcached.start()
    rendered.store.close()
    rendered.has("/", b"rendered /")
    rendered.hint("/blog/hello")
    rendered.has("/blog/hello", b"rendered /blog/hello")
    is_well(rendered)


def test_no_more_pages_than_allowed(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, "/1", "/2", "/3", max_pages=3)
    rendered.hint("/4")
    wait_for(lambda: "more than 3 pages" in rendered.status()["figures"]["refusals"], "a refusal")
    assert rendered.ttl("/4") is None


def test_what_is_too_large(rendered: Rendered, origin: Origin) -> None:
    rendered.settings["max_page"] = 1000
    origin.pages["/small"] = Reply(b"a" * 20_000)
    origin.pages["/large"] = Reply(os.urandom(1001))
    origin.pages["/huge"] = Reply(b"a" * 100_000)
    rendered.start()
    for path in ("/small", "/large", "/huge"):
        rendered.hint(path)
    wait_for(
        lambda: (
            rendered.status()["figures"]["refusals"].get("larger than 1000 bytes as stored") == 2
        ),
        "refusals",
    )
    assert rendered.content("/small") == b"a" * 20_000


def test_an_answer_that_breaks_off_is_not_stored(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/half"] = Reply(b"half", length=1000)
    rendered.start()
    rendered.hint("/half")
    wait_for(lambda: rendered.status()["figures"]["failures"] == 1, "a failure")
    assert rendered.content("/half") is None


def test_without_a_list_of_types_only_directories_are_rendered(
    rendered: Rendered, origin: Origin
) -> None:
    rendered.agent.settings["mime_types"] = str(rendered.directory / "absent")
    origin.default = lambda path: Reply()
    rendered.start()
    rendered.hint("/x/")
    rendered.has("/x/")
    assert rendered.agent.lines("mime_types", "No such file")


def test_a_damaged_page_is_found(rendered: Rendered, origin: Origin) -> None:
    everything(rendered, origin, "/one", "/two")
    key = f"memfis://{rendered.NAME}/one".encode()
    found = rendered.store.get(key)
    assert found
    rendered.store.set(key, b"something else", found.flags)
    done = memfis("verify", *config(rendered))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "damaged /one"


def test_status_for_people(rendered: Rendered, origin: Origin) -> None:
    origin.pages["/private"] = Reply(headers=[("Cache-Control", "private")])
    origin.pages["/varies"] = Reply(headers=[("Vary", "Cookie")])
    everything(rendered, origin, "/one")
    for path in ("/private", "/varies"):
        rendered.hint(path)
    wait_for(lambda: len(rendered.status()["figures"]["refusals"]) == 2, "refusals")
    told = memfis("status", *config(rendered)).stdout
    assert "  pages: 1 rendered, 0, 0 B of files; last synced" in told
    [document] = memfis_json("status", *config(rendered))["sites"]
    assert document["origins"] == {"file": 0, "rendered": 1}
    for line in (
        "  rendered: 1 in memory, 0 waiting; 1 renders, 0 failed, 0 pages purged",
        "  hints: 3 queued",
        "  not rendered: 1 Cache-Control: private: /private",
        "    if the page is for everybody, let the application say so where"
        " $_SERVER['MEMFIS_SHARED'] is set",
        "  not rendered: 1 Vary: /varies (cookie)",
        "    leave it out where $_SERVER['MEMFIS_SHARED'] is set: whoever has a cookie that matters"
        " is on his own",
    ):
        assert line in told.splitlines(), told
    assert "  PHP requests saved: 0 at least" in told
    rendered.agent.end()
    told = memfis("status", *config(rendered)).stdout
    assert "agent: none runs" in told
    assert "rendered:" not in told


def test_a_mount_shows_files_only(rendered: Rendered, origin: Origin) -> None:
    (rendered.root / "blog").mkdir()
    (rendered.root / "blog" / "logo.png").write_bytes(b"png")
    everything(rendered, origin, "/", "/blog", "/blog/", "/blog/hello", "/only/rendered")
    files = open_site(rendered.store, rendered.site, Caller(0, 0), read_only=True)
    assert [name for name, _ in files.names(b"/")] == [b"blog"]
    assert [name for name, _ in files.names(b"/blog")] == [b"logo.png"]
