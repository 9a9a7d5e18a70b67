"""By what applications tell visitors apart: cookies and headers, each with its source.

Only the standard library (docs/settings.md says why).
"""

from collections.abc import Mapping
from typing import NamedTuple

HARMLESS_COOKIES = (
    # Google Analytics and Google Ads: https://business.safety.google/adscookies/
    *(r"_ga\w*", r"_gid", r"_gat\w*", r"_gac_\w+", r"_dc_gtm_[\w-]+", r"AMP_TOKEN"),
    *(r"__utm\w+", r"_gcl_\w+", r"_opt_\w+"),
    # Meta Pixel: https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/fbp-and-fbc
    *(r"_fbp", r"_fbc"),
    # Matomo: https://matomo.org/faq/general/faq_146/
    *(r"_pk_[\w.]+", r"mtm_(?:consent|cookie_consent|consent_removed)", r"matomo_ignore"),
    # Microsoft Clarity, and Universal Event Tracking:
    # https://learn.microsoft.com/en-us/clarity/setup-and-installation/clarity-cookies
    *(r"_clck", r"_clsk", r"_uet\w+"),
    # Hotjar: https://help.hotjar.com/hc/en-us/articles/6952777582999
    r"_hj\w+",
    # HubSpot: https://knowledge.hubspot.com/privacy-and-consent/what-cookies-does-hubspot-set-in-a-visitor-s-browser
    *(r"__hs(?:tc|sc|src)", r"hubspotutk", r"__hs_\w+"),
    # LinkedIn Insight, Pinterest, TikTok, Yandex Metrica, Piwik PRO: their own lists of cookies
    *(r"li_fat_id", r"_pin_unauth", r"_tt[ep]\w*", r"_ym_\w+", r"_ppms_privacy_\w+"),
    # Consent: IAB TCF (https://iabeurope.eu/), Cookiebot, OneTrust, CookieYes, Complianz, Borlabs,
    # Cookie Notice, Osano, Klaro, tarteaucitron, vanilla-cookieconsent, Usercentrics
    *(r"euconsent(?:-v2)?", r"CookieConsent", r"OptanonConsent", r"OptanonAlertBoxClosed"),
    *(r"cookieyes-consent", r"cookielawinfo-[\w-]+", r"viewed_cookie_policy", r"cmplz_[\w-]+"),
    *(r"borlabs-cookie", r"cookie_notice_accepted", r"cookieconsent_(?:status|mode)"),
    *(r"klaro", r"tarteaucitron", r"cc_cookie", r"uc_\w+"),
    # What stands before a web host, and is meant for itself: Cloudflare
    # (https://developers.cloudflare.com/fundamentals/reference/policies-compliances/cloudflare-cookies/),
    # AWS's load balancers (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html)
    *(r"__cf\w*", r"_cfuvid", r"cf_clearance", r"AWSALB\w*"),
)
"""Names, as regular expressions, of cookies that no application chooses a page by."""

OWN_HEADERS = (
    # Who asks: RFC 9110 (section 11.6.2), and what interfaces take for it; WordPress's is at
    # https://developer.wordpress.org/rest-api/using-the-rest-api/authentication/
    *("Authorization", "X-Api-Key", "X-Auth-Token", "X-WP-Nonce"),
    # Which part of a page: jQuery, pjax, Inertia and others say so by the first of these, htmx
    # (https://htmx.org/reference/#request_headers), Turbo
    # (https://turbo.hotwired.dev/reference/frames) and Unpoly (https://unpoly.com/up.protocol) by
    # their own
    *("X-Requested-With", "HX-Request", "Turbo-Frame", "X-Up-Version"),
)
"""Headers by which applications tell a visitor, or a part of a page.

nginx looks for each of them in every request, which takes time: what comes with another of the list
is not in it.
"""


class Application(NamedTuple):
    """What is known of an application."""

    cookies: tuple[str, ...]
    """Names, as regular expressions, of the cookies by which it knows a visitor."""
    page_end: str
    """What every whole page of HTML ends with."""


APPLICATIONS: Mapping[str, Application] = {
    "wordpress": Application(
        (r"wordpress_[^=;]*", r"wp-[^=;]*", r"comment_author_[^=;]*"), "</html>"
    ),
    "dokuwiki": Application((r"DokuWiki", r"DW[0-9a-f]+", r"DOKU_PREFS"), "</html>"),
    "mediawiki": Application(
        (r"[^=;]*_session", r"[^=;]*User(?:ID|Name)", r"[^=;]*Token"), "</html>"
    ),
}
"""By name."""
