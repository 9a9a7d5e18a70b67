"""What nginx can say of a page that comes from memory: its type, and headers of the site's own.

All else that an answer says would be lost, so a page that says more is not stored.
"""

from memfis.nginx.media_types import MediaTypes
from memfis.render.rules import Fields, Refusal, values

_LEFT_OUT = frozenset(
    {
        # of the connection, or of nginx itself
        *("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"),
        *("trailer", "via", "age", "warning"),
        # compared apart from the others
        *("content-type", "set-cookie", "vary"),
        # about caching: nginx says of a page from memory what the site's settings say
        *("cache-control", "expires", "pragma", "last-modified", "etag", "accept-ranges"),
        *("x-accel-expires", "surrogate-control", "surrogate-key", "xkey", "edge-control"),
        *("cache-tag", "edge-cache-tag", "cache-groups", "cache-status"),
        *("server-timing", "p3p"),
    }
)
"""Headers that a browser does not miss."""

_MATTERS = frozenset(
    {
        *("x-frame-options", "x-content-type-options", "x-xss-protection", "x-robots-tag"),
        *("x-permitted-cross-domain-policies", "x-download-options", "x-dns-prefetch-control"),
        *("x-content-security-policy", "x-webkit-csp", "x-sourcemap", "x-accel-redirect"),
    }
)
"""Those of the `X-` headers that a browser acts on; the others inform people and proxies."""


def check(path: bytes, fields: Fields, types: MediaTypes, own: Fields) -> Refusal | None:
    """Return what of the answer for `path` nginx could not say from memory, None if nothing.

    `own`: the headers that nginx adds to every answer of the site.
    """
    told = values(fields, "content-type")
    wanted = types.of(path)
    if len(told) != 1 or _normal(told[0]) != _normal(wanted):
        return Refusal("Content-Type", f"{', '.join(told)[:100] or 'none'}; nginx: {wanted}")
    for name in dict.fromkeys(key.decode("latin-1").lower() for key, _ in fields):
        if name in _LEFT_OUT or (name.startswith("x-") and name not in _MATTERS):
            continue
        if name.endswith("-cache-control"):
            continue  # for a cache that is none of ours (RFC 9213, section 2)
        said = values(fields, name)
        if name == "content-encoding" and all(each.lower() == "identity" for each in said):
            continue
        if sorted(said) != sorted(values(own, name)):
            return Refusal(f"header {name[:50]}", ", ".join(said)[:100])
    return None


def _normal(media_type: str) -> str:
    """Return a Content-Type without what makes no difference (RFC 9110, 8.3.1)."""
    kind, *parameters = (part.strip() for part in media_type.lower().split(";"))
    pairs = []
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        pairs.append(f"{name.strip()}={value.strip().strip(chr(34))}")
    return "; ".join([kind, *sorted(pairs)])
