"""Settings of the agent and the commands: memfis.toml but for its tables."""

from memfis.errors import UsageError
from memfis.settings.addresses import StoreAddress
from memfis.settings.declare import BY_AGENT, Setting, Table
from memfis.settings.gateway import no_listen_address
from memfis.settings.kinds import Integer, Text
from memfis.settings.site import SITE
from memfis.settings.site_parts import ABSOLUTE_PATH

DEFAULT_STORE = "memcached://127.0.0.1:11211"
MIME_TYPES = "/etc/nginx/mime.types"

LEASE = 24 * 3600
"""Seconds that a page lives unless a running agent renews it."""

GATEWAY_LEASE = 7 * 24 * 3600
"""The same behind a gateway, where each renewal is a write that is replicated."""

MAX_DELETE = "50%"
"""Pages that a sync may remove: a number, or per cent of those recorded."""

LIMIT = Text("a number of pages, or 0% to 100%", r"\d+|\d\d?%|100%", or_number=True, type="text")


def _no_store(url: str) -> str | None:
    try:
        StoreAddress.parse(url)
    except UsageError as error:
        return str(error).removeprefix(f"store {url!r}: ")
    return None


VERSION = Setting(
    "version",
    Text("a version of memfis, as 0.2.0", r"\d+(\.\d+){1,2}[0-9a-z.+]*"),
    "the version that this was written for; a newer one than the program's own is refused",
    read_by=BY_AGENT,
    since="0.2.0",
)

OF_A_SITE = (
    Setting(
        "store",
        Text("memcached://HOST:PORT or memcached:///path/to.sock", also=_no_store),
        "the store: `memcached://HOST:PORT` or `memcached:///path/to.sock`",
        DEFAULT_STORE,
        read_by=BY_AGENT,
    ),
    Setting(
        "first_level",
        ABSOLUTE_PATH,
        "socket at which nginx is told what changed, where it keeps pages in memory of its own",
        usually="nobody is told",
        read_by=BY_AGENT,
        since="0.2.0",
    ),
    Setting(
        "gates",
        ABSOLUTE_PATH,
        "directory of links to the store, `NAME.sock` for each site, which the agent makes when it"
        " has looked at the site; where the store keeps its memory, nginx asks it there",
        usually="none are made",
        read_by=BY_AGENT,
        since="0.2.0",
    ),
    Setting(
        "reader",
        Text("the name of a user", r"\S+"),
        "nginx's user: what it cannot read is not published",
        usually="nobody is asked",
        read_by=BY_AGENT,
    ),
    Setting(
        "lease",
        Integer("a number of seconds, 60 or more", 60),
        "seconds that a page lives unless a running agent renews it",
        usually=f"{LEASE}, behind a gateway {GATEWAY_LEASE}",
        read_by=BY_AGENT,
    ),
    Setting(
        "max_delete",
        LIMIT,
        "pages that one `memfis sync` may remove: a number, or per cent of a site's",
        MAX_DELETE,
        read_by=BY_AGENT,
    ),
)
"""What stands above all sites, or in one."""

INHERITED = (
    *("store", "first_level", "gates", "reader", "max_page", "lease", "max_delete", "delete_grace"),
    *("compress_level", "compress_types", "compress_min_size", "compress_min_saving"),
)
"""Settings above all sites that hold for each that does not set them."""

AGENT = Table(
    "a table",
    (
        VERSION,
        *OF_A_SITE,
        *(SITE[name].as_in_toml for name in INHERITED if name in SITE.names),
        Setting(
            "runtime_directory",
            ABSOLUTE_PATH,
            "locks, and the socket at which `memfis sync` asks the agent",
            usually="`/run/memfis`, or the user's own",
            read_by=BY_AGENT,
        ),
        Setting(
            "metrics",
            Text("unix:/path/to.sock or HOST:PORT", also=no_listen_address),
            "where Prometheus may ask: `unix:/path/to.sock`, or a loopback `HOST:PORT`",
            usually="nowhere",
            read_by=BY_AGENT,
        ),
        Setting(
            "mime_types",
            ABSOLUTE_PATH,
            "nginx's own list of types: which type a rendered page must have",
            MIME_TYPES,
            read_by=BY_AGENT,
        ),
    ),
)

SITE_IN_TOML = SITE.in_toml(*OF_A_SITE)
"""`[[sites]]`, without what goes together with what."""
