"""What a shared cache may store, as a table: of the rules, and of a real HTTP answer."""

import time
from email.utils import formatdate

import pytest

from memfis.nginx.media_types import MediaTypes
from memfis.render.reproducible import check
from memfis.render.rules import FOREVER, Freshness, Refusal, directives, judge
from render.conftest import Rendered
from support.origin import Origin, Reply
from support.process import wait_for

NOW = 1_800_000_000.0
YEAR = 366 * 24 * 3600


def at(seconds: float) -> str:
    return formatdate(NOW + seconds, usegmt=True)


Headers = list[tuple[str, str]]

ACCEL, CDN, SURROGATE = "X-Accel-Expires", "CDN-Cache-Control", "Surrogate-Control"

STORED: list[tuple[str, Headers, int]] = [
    ("nothing said: the site's default", [], 300),
    ("max-age", [("Cache-Control", "max-age=60")], 60),
    ("public", [("Cache-Control", "public")], 300),
    ("public, max-age", [("Cache-Control", "public, max-age=60")], 60),
    ("s-maxage before max-age", [("Cache-Control", "max-age=0, s-maxage=60")], 60),
    (
        "s-maxage in a line of its own",
        [("Cache-Control", "max-age=9"), ("cache-control", "s-maxage=60")],
        60,
    ),
    ("max-age before Expires", [("Cache-Control", "max-age=60"), ("Expires", at(900))], 60),
    (
        "max-age before an Expires in the past",
        [("Cache-Control", "max-age=60"), ("Expires", "0")],
        60,
    ),
    ("Expires without Date", [("Expires", at(900))], 900),
    ("Expires less Date", [("Date", at(-100)), ("Expires", at(800))], 800),
    ("Expires in the format of RFC 850", [("Expires", "Friday, 15-Jan-27 08:10:00 GMT")], 600),
    ("Expires in the format of asctime", [("Expires", "Fri Jan 15 08:10:00 2027")], 600),
    ("upper case", [("CACHE-CONTROL", "PUBLIC, MAX-AGE=60")], 60),
    ("a quoted number", [("Cache-Control", 'max-age="60"')], 60),
    ("white space", [("Cache-Control", " , max-age=60 ,\t, public ")], 60),
    ("unknown directives", [("Cache-Control", 'immutable, x=1, y="a, b", max-age=60')], 60),
    (
        "a directive's name in a string",
        [("Cache-Control", 'x="no-store, private", max-age=60')],
        60,
    ),
    (
        "an escaped quote in a string",
        [("Cache-Control", r'x="a\", no-store, \"b", max-age=60')],
        60,
    ),
    ("a name that only begins so", [("Cache-Control", "private-ish, no-storex, max-age=60")], 60),
    ("no-transform, must-understand", [("Cache-Control", "no-transform, must-understand")], 300),
    ("a request's directives", [("Cache-Control", "only-if-cached, min-fresh=9, max-age=60")], 60),
    ("Age", [("Cache-Control", "max-age=60"), ("Age", "20")], 40),
    ("an Age that is none", [("Cache-Control", "max-age=60"), ("Age", "young")], 60),
    ("a Date in the past", [("Cache-Control", "max-age=60"), ("Date", at(-20))], 40),
    (
        "Date and Age: the larger",
        [("Cache-Control", "max-age=60"), ("Date", at(-20)), ("Age", "30")],
        30,
    ),
    ("a Date in the future", [("Cache-Control", "max-age=60"), ("Date", at(20))], 60),
    ("a Date that is none", [("Cache-Control", "max-age=60"), ("Date", "today")], 60),
    ("too large a number", [("Cache-Control", "max-age=99999999999999999999")], YEAR),
    ("Vary: Accept-Encoding", [("Vary", "accept-encoding")], 300),
    ("Vary twice", [("Vary", "Accept-Encoding"), ("Vary", "Accept-Encoding, ")], 300),
    ("Pragma beside Cache-Control", [("Pragma", "no-cache"), ("Cache-Control", "max-age=60")], 60),
    ("another Pragma", [("Pragma", "public")], 300),
    ("two max-age: the smaller", [("Cache-Control", "max-age=60, max-age=50")], 50),
    ("zeros in front", [("Cache-Control", f"max-age={'0' * 20}60")], 60),
    (
        "Vary in three lines",
        [("Vary", "Accept-Encoding"), ("Vary", ""), ("Vary", "accept-encoding")],
        300,
    ),
    ("X-Accel-Expires", [(ACCEL, "60")], 60),
    ("X-Accel-Expires before Cache-Control", [(ACCEL, "60"), ("Cache-Control", "no-store")], 60),
    ("X-Accel-Expires after it", [("Cache-Control", "private, max-age=9"), (ACCEL, "60")], 60),
    (
        "X-Accel-Expires before Expires, Pragma",
        [(ACCEL, "60"), ("Expires", "0"), ("Pragma", "no-cache")],
        60,
    ),
    (
        "X-Accel-Expires before other targets",
        [(ACCEL, "60"), (CDN, "no-store"), (SURROGATE, "no-store")],
        60,
    ),
    ("X-Accel-Expires before what cannot be read", [(ACCEL, "60"), ("Cache-Control", '"')], 60),
    ("X-Accel-Expires, absolute", [(ACCEL, f"@{NOW + 60:.0f}")], 60),
    (
        "X-Accel-Expires twice: the smaller",
        [(ACCEL, "900"), (ACCEL.lower(), f"@{NOW + 60:.0f}")],
        60,
    ),
    ("X-Accel-Expires counts from now", [(ACCEL, "60"), ("Age", "20"), ("Date", at(-30))], 60),
    ("X-Accel-Expires, too large", [(ACCEL, "9" * 30)], YEAR),
    ("CDN-Cache-Control", [(CDN, "max-age=60")], 60),
    (
        "CDN-Cache-Control before Cache-Control",
        [(CDN, "max-age=60"), ("Cache-Control", "no-store")],
        60,
    ),
    (
        "CDN-Cache-Control before Surrogate-Control",
        [(CDN, "max-age=60"), (SURROGATE, "no-store")],
        60,
    ),
    (
        "CDN-Cache-Control without a lifetime",
        [(CDN, "public"), ("Cache-Control", "max-age=9"), ("Expires", "0")],
        300,
    ),
    ("CDN-Cache-Control: s-maxage", [(CDN, "max-age=9, s-maxage=60")], 60),
    ("CDN-Cache-Control in two lines", [(CDN, "max-age=600"), (CDN.lower(), "max-age=60")], 60),
    ("CDN-Cache-Control with parameters", [(CDN, 'max-age=60;a="x, y";b=1.5, x=(1 "2");c')], 60),
    ("CDN-Cache-Control less Age", [(CDN, "max-age=60"), ("Age", "20")], 40),
    ("an empty CDN-Cache-Control", [(CDN, ""), (CDN, " "), ("Cache-Control", "max-age=60")], 60),
    ("Surrogate-Control", [(SURROGATE, "max-age=60"), ("Cache-Control", "private")], 60),
    ("Surrogate-Control with an extension", [(SURROGATE, 'max-age=60+600, content="ESI/1.0"')], 60),
    (
        "Surrogate-Control: the smaller",
        [(SURROGATE, "max-age=600"), (SURROGATE, "max-age=60+1")],
        60,
    ),
    ("Surrogate-Control less Age", [(SURROGATE, "max-age=60"), ("Age", "20")], 40),
    (
        "a Surrogate-Control that says nothing",
        [(SURROGATE, 'content="ESI/1.0", x=1'), ("Cache-Control", "max-age=60")],
        60,
    ),
    ("an empty Surrogate-Control", [(SURROGATE, ""), ("Cache-Control", "max-age=60")], 60),
    ("fields for other caches", [("Netlify-CDN-Cache-Control", "no-store")], 300),
]

REFUSED: list[tuple[str, Headers, str]] = [
    ("Set-Cookie", [("Set-Cookie", "a=b")], "Set-Cookie"),
    ("set-cookie beside public", [("set-cookie", ""), ("Cache-Control", "public")], "Set-Cookie"),
    ("Set-Cookie2", [("Set-Cookie2", "a=b")], "Set-Cookie"),
    ("no-store", [("Cache-Control", "no-store")], "Cache-Control: no-store"),
    ("No-Store, max-age", [("Cache-Control", "No-Store, max-age=60")], "Cache-Control: no-store"),
    (
        "no-store, must-understand",
        [("Cache-Control", "no-store, must-understand")],
        "Cache-Control: no-store",
    ),
    ("private", [("Cache-Control", "private, s-maxage=60")], "Cache-Control: private"),
    (
        "private of a field",
        [("Cache-Control", 'private="x-user", max-age=60')],
        "Cache-Control: private",
    ),
    ("no-cache", [("Cache-Control", "no-cache")], "Cache-Control: no-cache"),
    ("no-cache of a field", [("Cache-Control", 'no-cache="x-user"')], "Cache-Control: no-cache"),
    (
        "in a second line",
        [("Cache-Control", "max-age=60"), ("Cache-Control", "private")],
        "Cache-Control: private",
    ),
    ("after an empty element", [("Cache-Control", ",,private")], "Cache-Control: private"),
    ("after a string", [("Cache-Control", 'x="a,b",private')], "Cache-Control: private"),
    ("max-age=0", [("Cache-Control", "max-age=0")], "expired"),
    ("s-maxage=0 before max-age", [("Cache-Control", "max-age=60, s-maxage=0")], "expired"),
    ("a max-age that is none", [("Cache-Control", "max-age=soon")], "expired"),
    ("max-age without a value", [("Cache-Control", "max-age")], "expired"),
    ("max-age with a sign", [("Cache-Control", "max-age=-60")], "expired"),
    ("max-age with a fraction", [("Cache-Control", "max-age=60.5")], "expired"),
    ("Expires: 0", [("Expires", "0")], "expired"),
    ("Expires: -1", [("Expires", "-1")], "expired"),
    ("Expires in the past", [("Expires", at(-1))], "expired"),
    ("Expires as Date", [("Date", at(0)), ("Expires", at(0))], "expired"),
    ("one of two Expires is none", [("Expires", at(900)), ("Expires", "never")], "expired"),
    ("Age over max-age", [("Cache-Control", "max-age=60"), ("Age", "60")], "expired"),
    ("too large an Age", [("Cache-Control", "max-age=60"), ("Age", "9" * 30)], "expired"),
    ("Date too old", [("Cache-Control", "max-age=60"), ("Date", at(-61))], "expired"),
    ("Pragma alone", [("Pragma", "No-Cache")], "Pragma: no-cache"),
    ("Vary: Cookie", [("Vary", "Accept-Encoding, Cookie")], "Vary"),
    ("Vary: *", [("Vary", "*")], "Vary"),
    ("Vary in a second line", [("Vary", "Accept-Encoding"), ("Vary", "User-Agent")], "Vary"),
    ("Vary in a third line", [("Vary", ""), ("Vary", "Accept-Encoding"), ("Vary", "*")], "Vary"),
    ("zeros", [("Cache-Control", "max-age=" + "0" * 20)], "expired"),
    ("X-Accel-Expires: 0", [(ACCEL, "0"), ("Cache-Control", "max-age=60")], "expired"),
    ("one X-Accel-Expires is 0", [(ACCEL, "60"), (ACCEL, "0")], "expired"),
    (
        "X-Accel-Expires in the past",
        [(ACCEL, f"@{NOW:.0f}"), ("Cache-Control", "max-age=60")],
        "expired",
    ),
    ("X-Accel-Expires: @0", [(ACCEL, "@0")], "expired"),
    *(
        (
            f"X-Accel-Expires: {text}",
            [(ACCEL, text), ("Cache-Control", "max-age=60")],
            f"{ACCEL} that cannot be read",
        )
        for text in ("", "off", "-1", "+60", "1.5", "60, 60", "@", "@x", "@ 60", "1h", "6 0")
    ),
    (
        "one X-Accel-Expires cannot be read",
        [(ACCEL, "60"), (ACCEL, "x")],
        f"{ACCEL} that cannot be read",
    ),
    ("Set-Cookie beside X-Accel-Expires", [(ACCEL, "60"), ("Set-Cookie", "a=b")], "Set-Cookie"),
    ("Vary beside X-Accel-Expires", [(ACCEL, "60"), ("Vary", "Cookie")], "Vary"),
    (
        "Set-Cookie beside CDN-Cache-Control",
        [(CDN, "max-age=60"), ("Set-Cookie", "a=b")],
        "Set-Cookie",
    ),
    ("Vary beside Surrogate-Control", [(SURROGATE, "max-age=60"), ("Vary", "*")], "Vary"),
    *(
        (
            f"CDN-Cache-Control: {text}",
            [(CDN, text), ("Cache-Control", "max-age=60")],
            f"{CDN}: {name}",
        )
        for text, name in (
            *(
                ("no-store", "no-store"),
                ("private, max-age=60", "private"),
                ("no-cache", "no-cache"),
            ),
            *(('no-cache="x"', "no-cache"), ("max-age=60, no-store;x=1", "no-store")),
            *(("private=?0, max-age=60", "private"),),
        )
    ),
    *(
        (f"CDN-Cache-Control: {text}", [(CDN, text), ("Cache-Control", "max-age=60")], "expired")
        for text in (
            "max-age=0",
            "max-age",
            "max-age=60.5",
            'max-age="60"',
            "max-age=-60",
            "max-age=?1",
            "max-age=x",
            "max-age=(60)",
        )
    ),
    *(
        (
            f"CDN-Cache-Control: {text}",
            [(CDN, text), ("Cache-Control", "max-age=60")],
            f"{CDN} that cannot be read",
        )
        for text in (
            "max-age=60,",
            ",",
            "Max-Age=60",
            'x="',
            "max-age =60",
            "max-age= 60",
            "max-age=60 public",
            "max-age=60 ;x",
            "é",
            "max-age=1234567890123456",
            "x=1.",
            "x=:a",
            "x=(1",
        )
    ),
    (
        "CDN-Cache-Control with a second line",
        [(CDN, "max-age=60"), (CDN, "private")],
        f"{CDN}: private",
    ),
    ("Age over CDN-Cache-Control", [(CDN, "max-age=60"), ("Age", "60")], "expired"),
    *(
        (f"Surrogate-Control: {name}", [(SURROGATE, f"max-age=60, {name}")], f"{SURROGATE}: {name}")
        for name in ("no-store", "no-store-remote", "private", "no-cache")
    ),
    (
        "Surrogate-Control with a second line",
        [(SURROGATE, "max-age=60"), (SURROGATE, "no-store")],
        f"{SURROGATE}: no-store",
    ),
    *(
        (
            f"Surrogate-Control: {text}",
            [(SURROGATE, text), ("Cache-Control", "max-age=60")],
            "expired",
        )
        for text in (
            "max-age=0",
            "max-age=0+60",
            "max-age",
            "max-age=x",
            "max-age=+60",
            "max-age=60;other",
        )
    ),
    (
        "Surrogate-Control that cannot be read",
        [(SURROGATE, 'max-age=60, x="')],
        f"{SURROGATE} that cannot be read",
    ),
    (
        "no-store for another surrogate",
        [(SURROGATE, "no-store;other")],
        f"{SURROGATE} that cannot be read",
    ),
    (
        "Cache-Control beside a Surrogate-Control that says nothing",
        [(SURROGATE, "content=x"), ("Cache-Control", "private")],
        "Cache-Control: private",
    ),
    ("an open string", [("Cache-Control", 'max-age=60, x="')], "Cache-Control that cannot be read"),
    ("a string in a token", [("Cache-Control", 'a"private"')], "Cache-Control that cannot be read"),
    (
        "what is no token",
        [("Cache-Control", "max-age=60, @private")],
        "Cache-Control that cannot be read",
    ),
]


def fields(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]


@pytest.mark.parametrize(
    ("headers", "lifetime"), [p[1:] for p in STORED], ids=[p[0] for p in STORED]
)
def test_what_may_be_stored(headers: Headers, lifetime: int) -> None:
    verdict = judge(200, fields(headers), 300, NOW)
    assert isinstance(verdict, Freshness), verdict
    assert verdict.lifetime == lifetime


@pytest.mark.parametrize(
    ("headers", "reason"), [p[1:] for p in REFUSED], ids=[p[0] for p in REFUSED]
)
def test_what_may_not_be_stored(headers: Headers, reason: str) -> None:
    verdict = judge(200, fields(headers), 300, NOW)
    assert isinstance(verdict, Refusal), verdict
    assert verdict.reason == reason


@pytest.mark.parametrize(
    "status", [201, 203, 204, 206, 301, 302, 304, 400, 401, 403, 404, 410, 451]
)
def test_only_status_200_is_stored(status: int) -> None:
    assert judge(status, fields([("Cache-Control", "max-age=60")]), 300, NOW) == Refusal(
        f"status {status}"
    )


@pytest.mark.parametrize(
    ("headers", "stale", "revalidate"),
    [
        ([("Cache-Control", "max-age=60")], None, None),
        ([("Cache-Control", "max-age=60, must-revalidate")], 0, 0),
        ([("Cache-Control", "max-age=60, proxy-revalidate")], 0, 0),
        ([("Cache-Control", "s-maxage=60")], 0, 0),
        ([("Cache-Control", "max-age=60, stale-if-error=30")], 30, None),
        ([("Cache-Control", "s-maxage=60, stale-if-error=30")], 30, 0),
        ([("Cache-Control", "max-age=60, stale-if-error=30, must-revalidate")], 0, 0),
        ([("Cache-Control", "max-age=60, stale-if-error=x")], 0, None),
        ([("Cache-Control", "max-age=60, stale-while-revalidate=30")], None, 30),
        ([("Cache-Control", 'max-age=60, Stale-While-Revalidate="30"')], None, 30),
        ([("Cache-Control", "s-maxage=60, stale-while-revalidate=30")], 0, 30),
        ([("Cache-Control", "max-age=60, stale-while-revalidate=30, must-revalidate")], 0, 0),
        ([("Cache-Control", "max-age=60, stale-while-revalidate=30, proxy-revalidate")], 0, 0),
        ([("Cache-Control", "max-age=60, stale-while-revalidate=x")], None, 0),
        ([("Cache-Control", "max-age=60, stale-while-revalidate=30, stale-if-error=9")], 9, 30),
        ([("Cache-Control", f"max-age=60, stale-while-revalidate={'9' * 999}")], None, FOREVER),
        ([(ACCEL, "60")], None, None),
        ([(ACCEL, "60"), ("Cache-Control", "max-age=9, must-revalidate")], None, 0),
        ([(ACCEL, "60"), ("Cache-Control", "No-Cache")], None, 0),
        ([(ACCEL, "60"), ("Cache-Control", "stale-while-revalidate=30")], None, None),
        ([(CDN, "max-age=60"), ("Cache-Control", "must-revalidate")], None, 0),
        ([(CDN, "max-age=60, stale-if-error=30"), ("Cache-Control", "must-revalidate")], 30, 0),
        ([(CDN, "max-age=60, stale-while-revalidate=30"), ("Cache-Control", "no-cache")], None, 30),
        ([(CDN, "max-age=60, must-revalidate, stale-if-error=30")], 0, 0),
        ([(CDN, "s-maxage=60")], 0, 0),
        ([(SURROGATE, "max-age=60"), ("Cache-Control", "must-revalidate")], None, 0),
        ([(SURROGATE, "max-age=60+30, stale-if-error=90")], 30, 30),
        ([(SURROGATE, "max-age=60+30, stale-while-revalidate=90")], 30, 90),
        ([(SURROGATE, "max-age=60+30, max-age=90+20")], 20, 20),
        ([(SURROGATE, "max-age=60+x")], 0, 0),
        ([(SURROGATE, "max-age=60+0")], 0, 0),
        ([(SURROGATE, "max-age=60, stale-if-error=30")], 30, None),
        ([(SURROGATE, "content=x"), ("Cache-Control", "max-age=60, stale-if-error=30")], 30, None),
    ],
)
def test_how_long_a_page_may_be_stale(
    headers: Headers, stale: int | None, revalidate: int | None
) -> None:
    verdict = judge(200, fields(headers), 300, NOW)
    assert verdict == Freshness(60, stale, revalidate)


def test_directives() -> None:
    assert directives(' a , b=1,c="x, \\"y\\"" ,A, b = 2') == {
        "a": [None, None],
        "b": ["1", "2"],
        "c": ['x, "y"'],
    }
    assert directives("") == {}


HTML = ("Content-Type", "text/html; charset=UTF-8")
TYPES = MediaTypes(
    {"html": "text/html", "txt": "text/plain", "png": "image/png"}, "text/html", "utf-8"
)

REPRODUCIBLE: list[tuple[str, str, Headers]] = [
    ("a directory's URL", "/blog/", [HTML]),
    ("the default type", "/blog/hello", [HTML]),
    ("an extension", "/a.HTML", [HTML]),
    ("a dot in front", "/a/.txt", [HTML]),
    ("a dot at the end", "/a.", [HTML]),
    ("a dot in a directory", "/v1.txt/a", [HTML]),
    ("an unknown extension", "/a.xyz", [HTML]),
    ("charset in quotes", "/", [("content-type", 'TEXT/HTML ;charset="utf-8"')]),
    ("text", "/a.txt", [("Content-Type", "text/plain; charset=utf-8")]),
    ("no charset for a picture", "/a.png", [("Content-Type", "image/png")]),
    (
        "what nginx adds itself",
        "/",
        [HTML, ("X-Frame-Options", "DENY"), ("Strict-Transport-Security", "max-age=1")],
    ),
    (
        "what informs only",
        "/",
        [
            HTML,
            ("X-Powered-By", "PHP"),
            ("Server", "nginx"),
            ("Last-Modified", "x"),
            ("ETag", '"x"'),
        ],
    ),
    ("identity", "/", [HTML, ("Content-Encoding", "identity")]),
    *(
        (name, "/", [HTML, (name, "x")])
        for name in (ACCEL, CDN, SURROGATE, "Surrogate-Key", "Cache-Tag", "Fastly-Cache-Control")
    ),
]

LOST: list[tuple[str, str, Headers, str]] = [
    ("no type", "/", [], "Content-Type"),
    ("two types", "/", [HTML, HTML], "Content-Type"),
    ("no charset", "/", [("Content-Type", "text/html")], "Content-Type"),
    ("another charset", "/", [("Content-Type", "text/html; charset=iso-8859-1")], "Content-Type"),
    ("another parameter", "/", [("Content-Type", "text/html; charset=utf-8; x=y")], "Content-Type"),
    (
        "a feed at a directory's URL",
        "/feed/",
        [("Content-Type", "application/rss+xml; charset=utf-8")],
        "Content-Type",
    ),
    ("HTML as text", "/robots.txt", [HTML], "Content-Type"),
    (
        "a charset nginx does not add",
        "/a.png",
        [("Content-Type", "image/png; charset=utf-8")],
        "Content-Type",
    ),
    *(
        (name, "/", [HTML, (name, "x")], f"header {name.lower()}")
        for name in (
            *(
                "Content-Disposition",
                "Link",
                "Content-Security-Policy",
                "Content-Language",
                "Refresh",
            ),
            *("Content-Encoding", "Content-Location", "Location", "Access-Control-Allow-Origin"),
            *("Referrer-Policy", "Permissions-Policy", "X-Robots-Tag", "X-Content-Type-Options"),
            *("Clear-Site-Data", "Cross-Origin-Opener-Policy", "SourceMap", "Never-Heard-Of"),
        )
    ),
    (
        "another value than nginx's",
        "/",
        [HTML, ("X-Frame-Options", "SAMEORIGIN")],
        "header x-frame-options",
    ),
    (
        "nginx's and one more",
        "/",
        [HTML, ("X-Frame-Options", "DENY"), ("X-Frame-Options", "DENY")],
        "header x-frame-options",
    ),
]

OWN = fields([("X-Frame-Options", "DENY"), ("Strict-Transport-Security", "max-age=1")])


@pytest.mark.parametrize(
    ("path", "headers"), [p[1:] for p in REPRODUCIBLE], ids=[p[0] for p in REPRODUCIBLE]
)
def test_what_nginx_can_say_from_memory(path: str, headers: Headers) -> None:
    assert check(path.encode(), fields(headers), TYPES, OWN) is None


@pytest.mark.parametrize(
    ("path", "headers", "reason"), [p[1:] for p in LOST], ids=[p[0] for p in LOST]
)
def test_what_would_be_lost(path: str, headers: Headers, reason: str) -> None:
    refusal = check(path.encode(), fields(headers), TYPES, OWN)
    assert refusal is not None
    assert refusal.reason == reason


def test_every_combination_through_a_real_server(rendered: Rendered, origin: Origin) -> None:
    """The same tables, as answers of an application at a unix socket."""
    moved = time.time() - NOW

    def now(headers: Headers) -> Headers:
        """Return `headers` with their dates as they are seen from now."""
        dates = {at(s): formatdate(NOW + s + moved, usegmt=True) for s in range(-200, 1000)}
        dates |= {f"@{NOW + s:.0f}": f"@{NOW + s + moved:.0f}" for s in (0, 60)}
        old = {"Friday, 15-Jan-27 08:10:00 GMT", "Fri Jan 15 08:10:00 2027"}
        return [(n, dates.get(v, dates[at(600)] if v in old else v)) for n, v in headers]

    stored: dict[str, int] = {}
    refused: dict[str, str] = {}
    for number, (_, headers, lifetime) in enumerate(STORED):
        stored[f"/stored/{number}"] = lifetime
        origin.pages[f"/stored/{number}"] = Reply(headers=now(headers))
    for number, (_, headers, reason) in enumerate(REFUSED):
        refused[f"/refused/{number}"] = reason
        origin.pages[f"/refused/{number}"] = Reply(headers=now(headers))
    for number, (_, path, headers, reason) in enumerate(LOST):
        if path == "/" and "nginx" not in reason:
            refused[f"/lost/{number}/"] = reason
            origin.pages[f"/lost/{number}/"] = Reply(headers=headers, type=None)
    origin.own = [("X-Frame-Options", "DENY")]
    rendered.start()
    for path in [*stored, *refused]:
        rendered.hint(path)
    done = len(stored) + len(refused)

    def all_done() -> bool:
        figures = rendered.status()["figures"]
        return bool(figures["renders"] + sum(figures["refusals"].values()) == done)

    wait_for(all_done, "all to be rendered")
    took = time.time() - NOW - moved
    for path, lifetime in stored.items():
        ttl = rendered.ttl(path)
        assert ttl is not None, path
        assert lifetime - took - 2 <= ttl <= lifetime, path
    assert [path for path in refused if rendered.ttl(path) is not None] == []
    counted: dict[str, int] = {}
    for reason in refused.values():
        counted[reason] = counted.get(reason, 0) + 1
    assert rendered.status()["figures"]["refusals"] == counted
