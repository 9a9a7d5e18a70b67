"""The traps on the way from the store to the disk: each was walked into once."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from memfis.layout import keys
from support.http import Connection
from support.nginx import Web
from support.php import PhpFpm, site_with


@pytest.mark.parametrize("index", [["index.html"], ["index.htm", "index.html"], ["start.html"]])
def test_index_file_does_not_ask_the_store_again(web: Web, index: list[str]) -> None:
    site = web.site(index=index)
    web.start()
    site.write(index[-1], b"home")
    site.write(f"docs/{index[-1]}", b"docs")
    for target, body in {"/": b"home", "/docs/": b"docs"}.items():
        before = web.asked()
        answer = site.get(target)
        assert (answer.status, answer.source, answer.body) == (200, "FALLBACK", body)
        assert web.asked() == before + 1


@pytest.mark.parametrize("target", ["/", "/docs/", "/docs/index.html", "/a.html"])
def test_store_that_is_down_is_no_error(web: Web, target: str) -> None:
    site = web.site()
    web.start()
    for name in ("index.html", "docs/index.html", "a.html"):
        site.write(name, b"disk")
    web.store.end()
    answer = site.get(target)
    assert (answer.status, answer.source, answer.body) == (200, "FALLBACK", b"disk")


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("target", ["/missing", "/missing/", "/docs/missing.html"])
def test_404_stays_404(web: Web, target: str, down: bool) -> None:
    site = web.site()
    web.start()
    site.write("docs/index.html", b"docs")
    if down:
        web.store.end()
    answer = site.get(target)
    assert (answer.status, answer.source) == (404, "FALLBACK")


@pytest.mark.parametrize("down", [False, True])
def test_error_page_keeps_its_status_and_does_not_ask_the_store(web: Web, down: bool) -> None:
    site = web.site(
        error_pages=[
            {"codes": [404, 410], "uri": "/errors/lost.html"},
            {"codes": [403], "uri": "/errors/lost.html"},
            {"codes": [405], "uri": '/errors/how $1 "2" \\3.html'},
        ]
    )
    web.start()
    site.put("/errors/lost.html", b"from memory")
    site.write("errors/lost.html", b"lost")
    site.write('errors/how $1 "2" \\3.html', b"how")
    before = web.asked()
    if down:
        web.store.end()
    for target, method, status, body in (
        ("/missing", "GET", 404, b"lost"),
        ("/missing/", "GET", 404, b"lost"),
        ("/errors/", "GET", 403, b"lost"),
        ("/.git/config", "GET", 404, b"lost"),
        ("/missing.html", "HEAD", 404, b""),
        ("/errors/lost.html", "POST", 405, b"how"),
        ("/errors/lost.html", "GET", 200, b"lost"),
    ):
        answer = site.get(target, method)
        assert (answer.status, answer.body) == (status, body), target
        assert answer.source == "FALLBACK"
        assert answer.header("Content-Type") == "text/html"
    if not down:
        assert web.asked() == before + 4, "for the missing pages and the directory, not for theirs"


def test_error_page_that_is_missing_leaves_nginxs_own(web: Web) -> None:
    site = web.site(error_pages=[{"codes": [404], "uri": "/404.html"}])
    web.start()
    answer = site.get("/missing")
    assert answer.status == 404
    assert b"nginx" in answer.body


def test_error_page_after_a_body_that_is_too_large(web: Web) -> None:
    """An error inside the store's own location, which is none of the fallback's."""
    site = web.site(
        error_pages=[{"codes": [413], "uri": "/413.html"}], extra="client_max_body_size 1k;"
    )
    web.start()
    site.write("413.html", b"too much")
    for answer in (
        site.get("/", "POST", body=b"x" * 2000),
        site.get_origin("/", "POST", body=b"x" * 2000),
    ):
        assert (answer.status, answer.body, answer.source) == (413, b"too much", "FALLBACK")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_other_methods_get_the_disks_answer(web: Web, method: str) -> None:
    site = web.site()
    web.start()
    site.write("index.html", b"disk")
    site.put("/", b"memory")
    before = web.store.items()
    answer = site.get("/", method, body=b"flush_all\r\n" * 1000)
    assert (answer.status, answer.source) == (405, "FALLBACK")
    assert web.store.items() == before


def test_body_that_looks_like_a_request_is_not_taken_for_one(web: Web) -> None:
    site = web.site()
    web.start()
    site.write("index.html", b"disk")
    site.put("/", b"memory")
    inner = b"GET /inner HTTP/1.1\r\nHost: site.example\r\n\r\n"
    length = b"Content-Length: %d\r\n" % len(inner)
    with Connection(site.public) as connection:
        for method in (b"POST", b"GET", b"PUT"):
            head = b"%s / HTTP/1.1\r\nHost: site.example\r\n%s\r\n" % (method, length)
            connection.send(head + inner)
            assert connection.receive().status == (200 if method == b"GET" else 405)
        assert connection.ask("/").source == "HIT"


def test_dollar_also_matches_before_a_newline(web: Web) -> None:
    r"""So patterns end in \z: a name that ends in a newline is not the name without it."""
    site = web.site()
    web.start()
    site.put("/", b"home")
    site.put("/docs/\n", b"a file whose name is a newline")
    assert site.get("/index.html%0a").status == 404
    assert site.get("/%0aindex.html").status == 404
    answer = site.get("/docs/%0a")
    assert answer.body == b"a file whose name is a newline"
    assert answer.header("Content-Type") == "application/octet-stream"


def test_newline_does_not_hide_what_is_refused(web: Web) -> None:
    site = web.site()
    web.start()
    for path in ("/a\n/.git/config", "/a\nb.php", "/\n.php\n/x.php"):
        site.put(path, b"secret")
        assert site.get(path.replace("\n", "%0a")).status == 404


REFUSED = [
    "/.git/config",
    "/.htaccess",
    "/docs/.env",
    "/docs/.git/",
    "/.",
    "/...",
    "/..hidden",
    "/.well-known/.hidden",
    "/.well-known/a/.hidden",
    "/.well-knownx",
    "/.WELL-KNOWN/x",
    "/x.php",
    "/x.PHP",
    "/x.php5",
    "/x.phtml",
    "/x.phar",
    "/x.phps",
    "/x.inc",
    "/x.php~",
    "/x.php.bak",
]

REFUSED_WHERE_SCRIPTS_RUN = [
    *REFUSED,
    "/a/.well-known/x",
    "/x.php/info",
    "/x.Inc.txt",
    "/x.php/",
    "/a.php.d/readme.txt",
]


@pytest.mark.parametrize(
    ("runs", "path"),
    [*((False, path) for path in REFUSED), *((True, path) for path in REFUSED_WHERE_SCRIPTS_RUN)],
)
def test_dotfiles_and_sources_are_refused_before_store_and_disk(
    web: Web, path: str, runs: bool
) -> None:
    site = web.site(runs_scripts=runs)
    web.start()
    if not set(path.split("/")) & {".", ".."}:
        site.write(path.strip("/") + ("/index.html" if path.endswith("/") else ""), b"secret")
    site.put(path, b"secret")
    for target in (path, path.replace(".", "%2e"), f"{path}?x", f"/{path}", f"/z/..{path}"):
        for answer in (site.get(target), site.get_origin(target)):
            assert answer.status in (403, 404) or path == "/."
            assert b"secret" not in answer.body
    # By Lua once a second.
    times = range(1, 6) if web.nginx.reads_by_lua else [5]
    assert web.asked() in (times if path == "/." else [0])


@pytest.mark.parametrize("path", ["/.well-known/a.txt", "/x.phpx", "/php", "/a.b/c", "/x.in"])
def test_their_neighbours_are_served(web: Web, path: str) -> None:
    site = web.site()
    web.start()
    site.write(path[1:], b"public")
    assert (site.get(path).status, site.get(path).source) == (200, "FALLBACK")
    site.put(path, b"memory")
    assert (site.get(path).body, site.get(path).source) == (b"memory", "HIT")


def test_refusal_holds_after_redirects_inside_nginx(web: Web) -> None:
    """nginx keeps what a map said about the first URI, unless the map is volatile."""
    site = web.site(
        extra="""
        rewrite ^/go/(.*)$ /$1 last;
        location /try/ { try_files /none /.git/config; }
        location /error/ { error_page 403 /.git/config; deny all; }
        location /back/ { rewrite ^/back/(.*)$ /$1 last; }
        """
    )
    web.start()
    site.write(".git/config", b"secret")
    site.write("index.html", b"home")
    site.write("page.html", b"page")
    site.put("/.git/config", b"secret")
    for target in ("/go/.git/config", "/error/", "/back/.git/config", "/back/x.php"):
        for answer in (site.get(target), site.get_origin(target)):
            assert answer.status in (403, 404), target
            assert b"secret" not in answer.body
    for target, body in {"/back/page.html": b"page", "/back/": b"home"}.items():
        assert site.get(target).body == body
        site.put(target.removeprefix("/back"), b"memory")
        assert site.get(target).source == "HIT", "the key is that of the new URI"


def test_parts_of_a_page_are_asked_for_by_their_own_keys(web: Web) -> None:
    """Subrequests share the variables of their page, so every map over $uri must be volatile."""
    site = web.site(extra="ssi on;")
    web.start()
    site.write(".git/config", b"secret")
    site.write("part.html", b"part")
    site.write("docs/index.html", b"docs")
    for name, url, part, body in (
        ("page.html", "/page.html", b"/part.html", b"part"),
        ("index.html", "/", b"/docs/", b"docs"),
    ):
        page = b'[<!--# include virtual="%s" -->][<!--# include virtual="/.git/config" -->]' % part
        site.write(name, page)
        for answer in (site.get(url), site.get_origin(url)):
            assert answer.body.startswith(b"[%s][" % body)
            assert b"secret" not in answer.body
        site.put(url, page)
        assert site.get(url).source == "HIT"
        assert site.get(url).body.startswith(b"[%s][" % body)
        site.put(part, b"memory")
        assert site.get(url).body.startswith(b"[memory][")


def test_source_is_never_sent_as_an_index(web: Web) -> None:
    site = web.site(index=["index.php", ".index.html", "index.inc", "index.html"])
    web.start()
    for name in ("index.php", ".index.html", "index.inc"):
        site.write(name, b"secret")
        site.write(f"docs/{name}", b"secret")
    site.write("index.html", b"home")
    assert site.get("/").body == b"home"
    assert site.get("/docs/").status == 403


# Of directories without the page of the first index name, as nginx itself answers: status, and the
# path of Location or the body.
INDEXES: dict[str, tuple[int, str | bytes]] = {
    "directory": (301, "/directory/index.html/"),
    "link": (301, "/link/index.html/"),
    "both": (301, "/both/index.html/"),
    "second": (301, "/second/index.htm/"),
    "file": (200, b"second"),
    "secret": (403, b""),
    "dangling": (403, b""),
    "circle": (403, b""),
    "none": (403, b""),
}


def directories_of_indexes(root: Path) -> None:
    for name in INDEXES:
        (root / name).mkdir()
    for path in ("directory/index.html", "both/index.html", "second/index.htm", "other"):
        (root / path).mkdir()
        (root / path / "file.txt").write_bytes(b"x")
    (root / "link/index.html").symlink_to("../other")
    (root / "dangling/index.html").symlink_to("nowhere")
    (root / "circle/index.html").symlink_to("index.html")
    (root / "secret/index.html").write_bytes(b"secret")
    (root / "secret/index.html").chmod(0)
    (root / "both/index.htm").write_bytes(b"second")
    (root / "file/index.htm").write_bytes(b"second")


@pytest.mark.parametrize(
    "index", [["index.html", "index.htm"], ["none.html", "index.html", "index.htm"]]
)
@pytest.mark.parametrize("autoindex", [False, True])
def test_index_name_that_is_no_file(web: Web, index: list[str], autoindex: bool) -> None:
    site = web.site(index=index, autoindex=autoindex)
    web.start()
    directories_of_indexes(site.root)
    for name, (status, what) in INDEXES.items():
        for answer in (site.get(f"/{name}/?a=b"), site.get_origin(f"/{name}/?a=b")):
            assert answer.source == "FALLBACK"
            if status == 403 and autoindex and name != "secret":
                assert b"Index of" in answer.body, name
                continue
            assert answer.status == status, name
            location = answer.header("Location")
            assert location is None or urlsplit(location)[2:4] == (what, "a=b"), name
            assert status != 200 or answer.body == what
    for target in ("/missing", "/missing/", "/file.txt/", "/directory/none"):
        assert site.get(target).status == 404


def test_index_name_that_is_a_directory_beside_php(web: Web, php: PhpFpm) -> None:
    site = site_with(web, php, index=["index.php", "index.html", "index.htm"])
    directories_of_indexes(site.root)
    for name in ("directory", "link", "both", "second", "file"):
        status, what = INDEXES[name]
        for answer in (site.get(f"/{name}/"), site.get_origin(f"/{name}/")):
            assert answer.status == status, name
            assert status == 200 or urlsplit(answer.header("Location")).path == what, name


def test_what_is_wrong_is_said_as_by_nginx_itself(web: Web) -> None:
    """Not 404 for all of it."""
    site = web.site()
    web.start()
    site.write("closed/page.html", b"secret")
    (site.root / "closed").chmod(0)
    (site.root / "loop.html").symlink_to("loop.html")
    for target, method, status in (
        ("/closed/page.html", "GET", 403),
        ("/closed/", "GET", 403),
        ("/loop.html", "GET", 403),
        ("/none.html", "GET", 404),
        ("/none/", "GET", 404),
        ("/none.html", "POST", 404),
        ("/none.html", "DELETE", 405),
    ):
        for answer in (site.get(target, method), site.get_origin(target, method)):
            assert (answer.status, answer.source) == (status, "FALLBACK"), (target, method)


def test_location_of_the_sites_own_is_not_overruled(web: Web) -> None:
    site = web.site(extra='location /api/ { return 200 "own"; }\nlocation = /one { return 204; }')
    web.start()
    site.put("/api/", b"memory")
    for target in ("/api/", "/api/x", "/api/x/"):
        assert site.get(target).body == b"own"
        assert site.get_origin(target).body == b"own"
    assert site.get("/one").status == 204


def test_no_key_of_another_kind_can_be_asked_for(web: Web) -> None:
    site = web.site()
    web.start()
    for key in (
        keys.private_key(site.name, b"/x"),
        keys.directory_key(site.name, b"/"),
        keys.site_key(site.name),
        keys.page_key("other.example", b"/x"),
        keys.page_key(site.name, b"/x") + b"?attr",
    ):
        web.store.put(key, b"secret")
    for target in (
        "/x",
        "memfis-private://site.example/x",
        "/memfis-private://site.example/x",
        "memfis-dir://site.example/",
        "memfis://other.example/x",
        "http://other.example/x",
        "//other.example/x",
        "/../other.example/x",
        "/..%2fother.example/x",
        "/%2e%2e/other.example/x",
    ):
        answer = site.get(target)
        assert answer.status in (400, 403, 404), target
        assert b"secret" not in answer.body
