"""A script is run or it is nothing: its source is never sent, whatever the path looks like."""

import random
from collections.abc import Iterator

import pytest

from support.directory import reachable_directory
from support.http import Connection
from support.nginx import Site, Web
from support.php import PhpFpm, settings

SECRET = b"secret"
UPLOADED = b"uploaded"
SCRIPT = (
    b"<?php /* secret */ echo 'ran ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '';"
)
EVIL = b"<?php /* secret */ echo 'up', 'loaded';"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with reachable_directory() as directory:
        web, php = Web(directory), PhpFpm(directory)
        site = web.site(
            index=["index.php", "index.html"],
            autoindex=True,
            php=settings(directory, php, uploads=["/wp-content/uploads/", "/data/"]),
            extra="""
            location /static/ { expires 1y; }
            location ^~ /assets/ { try_files $uri /index.php; }
            location = /xmlrpc.php { deny all; }
            location ^~ /closed/ { deny all; }
            location ~ ^/shut/ { deny all; }
            """,
        )
        for name in (
            *("index.php", "x.php", "blog/index.php", "static/x.php", "assets/x.php"),
            *("xmlrpc.php", "closed/x.php", "dir.php/inner.php", "shut/x.php", "shut/index.php"),
        ):
            site.write(name, SCRIPT)
        for name in (
            *("x.PHP", "x.Php", "x.php5", "x.phtml", "x.phar", "x.phps", "x.inc", "x.inc.php.txt"),
            *("x.php.bak", "x.php~", "x.php.jpg", "x.php.", "config.inc.bak", ".env", ".user.ini"),
            "blog/.htaccess",
        ):
            site.write(name, SCRIPT)
        site.write("dir.php/notes.txt", b"notes")
        for name in (
            *("wp-content/uploads/x.php", "wp-content/uploads/index.php", "data/x.php"),
            *("wp-content/uploads/2026/index.php", "wp-content/uploads/x.php.jpg"),
            *("wp-content/uploads/x.phtml", "wp-content/uploads/x.PHP"),
        ):
            site.write(name, EVIL)
        site.write("wp-content/uploads/a.jpg", b"<?php echo 'up', 'loaded'; ?> picture")
        try:
            php.start()
            web.start()
            # As if one had come into the store all the same.
            for path in ("/x.php", "/x.PHP", "/x.php.bak", "/x.php/", "/wp-content/uploads/x.php"):
                site.put(path, SECRET)
            yield site
        finally:
            web.end()
            php.end()


TARGETS = [
    *("/x.php", "/x.php/", "/x.php/more", "/x.php//", "//x.php", "/./x.php", "/blog/../x.php"),
    *("/x.php%00", "/x.php%00.html", "/x.php%0a", "/x.php%0A", "/x.php%0d", "/x.php%20", "/x.php."),
    *("/x.php%2f", "/x.php%2Fmore", "/x%2ephp", "/%78.php", "/x.ph%70", "/x.php;a=b", "/x.php%3Fa"),
    *("/x.PHP", "/x.Php", "/x.pHp/", "/x.php5", "/x.php7", "/x.phtml", "/x.phar", "/x.phps"),
    *(
        "/x.inc",
        "/x.INC",
        "/x.inc.php.txt",
        "/x.php.bak",
        "/x.php~",
        "/x.php.jpg",
        "/config.inc.bak",
    ),
    *("/x.php?", "/x.php?.html", "/x.php%23.html", "/x.php\\", "/x.php%5c", "/x.php%e2%80%a8"),
    *("/blog/", "/blog", "/blog/index.php", "/blog/index.php/", "/blog//index.php", "/blog/."),
    *("/dir.php", "/dir.php/", "/dir.php/inner.php", "/dir.php/notes.txt"),
    *("/static/x.php", "/static/x.php/", "/assets/x.php", "/assets/x.php/y", "/assets/missing"),
    *("/static/x.php%0a", "/static//x.php", "/static/../x.php", "/static/", "/assets/"),
    *(
        "/shut/",
        "/shut/x.php",
        "/closed/x.php",
        "/closed/x.php/a",
        "/xmlrpc.php",
        "/.env",
        "/.user.ini",
        "/blog/.htaccess",
    ),
    *("/wp-content/uploads/x.php", "/wp-content/uploads/x.php/", "/wp-content/uploads/x.php/a"),
    *("/wp-content//uploads/x.php", "/wp-content/./uploads/x.php", "/wp-content/uploads//x.php"),
    *("/wp-content/uploads/", "/wp-content/uploads", "/wp-content/uploads/2026/"),
    *("/wp-content/uploads/x.php.jpg", "/wp-content/uploads/x.phtml", "/wp-content/uploads/x.PHP"),
    *(
        "/wp-content/uploads/a.jpg/x.php",
        "/wp-content/uploads/a.jpg/.php",
        "/wp-content/uploads/a.jpg",
    ),
    *("/wp-content/uploads/a.jpg%00.php", "/wp-content/uploads/a.jpg%0a.php", "/data/x.php"),
    *("/wp-content/uploads%2fx.php", "/wp-content%2fuploads/x.php", "/index.php/../data/x.php"),
    *("/index.php/data/x.php", "/index.php/wp-content/uploads/x.php", "/x.php/../data/x.php"),
    *("/x.php/data/", "/index.php/x.php", "/blog/../data/x.php", "/data/x.php?/index.php"),
    *("/none/x.php", "/none.php", "/none.php/x.php", "/index.html/x.php", "/x.php/x.inc"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("origin", [False, True], ids=["public", "origin"])
def test_no_source_is_sent_and_nothing_uploaded_runs(site: Site, method: str, origin: bool) -> None:
    for target in TARGETS:
        with Connection(site.origin if origin else site.public) as connection:
            answer = connection.ask(target, method, body=b"x=1" if method == "POST" else None)
        assert answer.status in (200, 301, 400, 403, 404, 405), target
        assert SECRET not in answer.body, target
        if target != "/wp-content/uploads/a.jpg":
            assert b"<?" not in answer.body, target
        assert UPLOADED not in answer.body, target


@pytest.mark.parametrize(
    ("target", "ran"),
    [
        ("/x.php", b"ran /x.php "),
        ("/x.php/more/of%20it", b"ran /x.php /more/of it"),
        ("/x.php/", b"ran /x.php /"),
        ("//x.php", b"ran /x.php "),
        ("/blog/", b"ran /blog/index.php "),
        ("/blog/index.php/", b"ran /blog/index.php /"),
        ("/assets/x.php", b"ran /index.php "),
        ("/assets/missing", b"ran /index.php "),
        ("/x.php%0a", b"ran /index.php "),
        ("/x.php%20", b"ran /index.php "),
        ("/none/", b"ran /index.php "),
        # No script has such a name.
        ("/none.php/x", b"ran /index.php "),
        ("/dir.php/", b"ran /index.php "),
        ("/dir.php/none", b"ran /index.php "),
    ],
)
def test_what_runs(site: Site, target: str, ran: bytes) -> None:
    for answer in (site.get(target), site.get_origin(target)):
        assert (answer.status, answer.body) == (200, ran)
        assert answer.header("Content-Type") == "text/html; charset=UTF-8"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/x.PHP", 404),
        ("/x.inc", 404),
        ("/x.php.bak", 404),
        ("/x.php%00", 400),
        ("/none.php", 404),
        ("/dir.php", 404),
        ("/static/x.php", 404),
        ("/xmlrpc.php", 403),
        ("/closed/x.php", 403),
        # Patterns of the site's own come first too.
        ("/shut/x.php", 403),
        ("/shut/x.php/", 403),
        ("/shut/", 403),
        ("/shut/missing", 403),
        ("/wp-content/uploads/x.php", 404),
        ("/wp-content/uploads/a.jpg/x.php", 404),
        ("/wp-content/uploads/a.jpg", 200),
        ("/index.php/data/x.php", 404),
        ("/dir.php/notes.txt", 200),
        ("/dir.php/inner.php", 404),
    ],
)
def test_what_does_not_run(site: Site, target: str, status: int) -> None:
    assert site.get(target).status == site.get_origin(target).status == status


def test_random_paths(site: Site) -> None:
    """Pieces of all of the above, in any order; the seed is fixed so that a failure comes back."""
    pieces = [
        *("/", "/", "..", ".", "%2e", "%2f", "%5c", "%00", "%0a", "%20", "?", ";", "~", "//"),
        *("x.php", "index.php", "x", ".php", ".PHP", ".inc", ".bak", "a.jpg", "blog", "dir.php"),
        *("wp-content/uploads", "data", "static", "assets", "notes.txt", "%70hp", "inner.php"),
    ]
    choice = random.Random(2026)
    for _ in range(2000):
        target = "/" + "".join(choice.choices(pieces, k=choice.randint(1, 7)))
        for answer in (site.get(target), site.get_origin(target)):
            assert answer.status in (200, 301, 400, 403, 404), target
            assert SECRET not in answer.body, target
            assert UPLOADED not in answer.body, target
