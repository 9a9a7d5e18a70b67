"""What to do about a page that is not kept, by the reason (docs/php.md)."""

_SHARED = "where $_SERVER['MEMFIS_SHARED'] is set"

_LIFETIME = f"if the page is for everybody, let the application say so {_SHARED}"

_REMEDIES = {
    "Set-Cookie": f"let the application begin no session {_SHARED}",
    "Vary": f"leave it out {_SHARED}: whoever has a cookie that matters is on his own",
    "Cache-Control that": "let the application write it as RFC 9111 has it",
    "CDN-Cache-Control that": "let the application write it as RFC 9213 has it",
    "Surrogate-Control that": "let the application write it as max-age=SECONDS",
    "X-Accel-Expires that": "let the application write a number of seconds",
    "Cache-Control": _LIFETIME,
    "CDN-Cache-Control": _LIFETIME,
    "Surrogate-Control": _LIFETIME,
    "Pragma": _LIFETIME,
    "expired": _LIFETIME,
    "Content-Type": "let the site's 'default_type', 'charset' and 'types' say what the application"
    " does",
    "header ": f"leave it out {_SHARED}, or let the site's 'headers' say the same",
    "an empty page": "see what the application logs",
    "a page that does not end with": "let the site's 'page_end' say how whole pages end",
    "larger than": "raise the site's 'max_page'",
    "more than": "raise the site's 'max_pages'",
    "beyond": "raise the site's 'max_pages'",
    "refused by the store": "`memfis doctor` says how much memory all pages need",
    "a URL that is not canonical": "write it as it is when nothing is escaped that need not be",
    "no URL of this host": "let the sitemap name URLs of 'canonical', or let that name this host",
}
"""By how a reason begins; of two that fit, the first counts."""


def remedy(reason: str) -> str:
    """Return what to do about pages that were refused for `reason`; empty: nothing is known."""
    return next((text for start, text in _REMEDIES.items() if reason.startswith(start)), "")
