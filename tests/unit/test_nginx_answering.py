"""Which server answers for a name, by what `nginx -T` prints."""

import pytest

from memfis.check.configuration import Configuration, Listen, parse

DUMP = """\
# configuration file /etc/nginx/nginx.conf:
user webrun web; # include /etc/nginx/nothing;
http {
    include conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
    server { listen 10.0.0.1:80; server_name only.example; }
    server { server_name unsaid.example; }
}

# configuration file /etc/nginx/conf.d/first.conf:
server { listen 80; server_name first.example twice.example; }

# configuration file /etc/nginx/sites-enabled/memfis-ours:
# Managed by memfis: site ours. Changes made here are lost.
server {
    listen 80;
    listen [::]:80 default_server;
    listen 443 ssl;
    server_name "ours.example" *.ours.example twice.example;
    include snippets/*;
}
server { listen unix:/run/o.sock; server_name ours.example; }

# configuration file /etc/nginx/snippets/more.conf:
listen 127.0.0.1:8080 proxy_protocol;
location / { return 200 "server_name wrong;"; }

# configuration file /etc/nginx/sites-enabled/wild:
server { listen *:80 default_server; server_name deep.ours.example ~^x\\d+$; }
"""
OURS = "/etc/nginx/sites-enabled/memfis-ours"


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return parse(DUMP)


def test_whose_files_they_are(configuration: Configuration) -> None:
    assert configuration.user == "webrun"
    assert configuration.file_of("ours") == OURS
    assert configuration.file_of("our") is None
    assert configuration.includes() == ["conf.d/*.conf", "/etc/nginx/sites-enabled/*"]
    assert [each.file.rpartition("/")[2] for each in configuration.servers] == [
        *("first.conf", "memfis-ours", "memfis-ours", "wild", "nginx.conf", "nginx.conf")
    ]
    [_, ours, *_] = configuration.servers
    assert ours.listens[-1] == Listen("127.0.0.1:8080", frozenset({"proxy_protocol"}))


@pytest.mark.parametrize(
    ("place", "host", "file"),
    [
        ("127.0.0.1:80", "ours.example", OURS),
        ("127.0.0.1:80", "a.ours.example", OURS),
        ("127.0.0.1:80", "deep.ours.example", "/etc/nginx/sites-enabled/wild"),
        ("127.0.0.1:80", "twice.example", "/etc/nginx/conf.d/first.conf"),
        ("127.0.0.1:80", "x12", "/etc/nginx/sites-enabled/wild"),
        ("127.0.0.1:80", "nobody.example", "/etc/nginx/sites-enabled/wild"),
        ("127.0.0.1:80", "unsaid.example", "/etc/nginx/nginx.conf"),
        ("10.0.0.1:80", "ours.example", "/etc/nginx/nginx.conf"),
        ("[::1]:80", "twice.example", OURS),
        ("127.0.0.1:443", "nobody.example", OURS),
        ("unix:/run/o.sock", "ours.example", OURS),
    ],
)
def test_who_answers(configuration: Configuration, place: str, host: str, file: str) -> None:
    server = configuration.answering(place, host)
    assert server is not None
    assert server.file == file


def test_where_nobody_listens(configuration: Configuration) -> None:
    assert configuration.answering("127.0.0.1:81", "ours.example") is None


def test_an_address_that_nobody_has_taken() -> None:
    one = "server { listen 127.0.0.1:80; }\nserver { listen 80; listen [::]:81; }"
    taken = parse(f"# configuration file /nginx.conf:\nhttp {{ {one} }}\n")
    everywhere, sixth = taken.servers[1].listens
    assert taken.place(everywhere) == "127.0.0.2:80"
    assert taken.place(sixth) == "[::1]:81"
    assert taken.place(taken.servers[0].listens[0]) == "127.0.0.1:80"
