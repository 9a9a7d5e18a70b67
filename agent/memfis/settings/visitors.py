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
    """Names, as regular expressions, of the cookies by which it chooses what a page says."""
    page_end: str
    """What every whole page of HTML ends with."""


# From the applications' own files, which are named. Left out are cookies that only scripts of their
# own read, or only the browser: whoever has one would get no page from memory, some for a year.

_WORDPRESS = Application(
    (
        # wp-includes/default-constants.php: AUTH_COOKIE, SECURE_AUTH_COOKIE, LOGGED_IN_COOKIE and
        # RECOVERY_MODE_COOKIE, each with COOKIEHASH, which a site may define; they are set in
        # wp-includes/pluggable.php and class-wp-recovery-mode-cookie-service.php. TEST_COOKIE, of
        # all who ever saw wp-login.php, is read there alone.
        r"wordpress_(?!test_cookie)[^=;]*",
        # wp-login.php, wp-includes/post-template.php: the password of a post.
        r"wp-postpass_[^=;]*",
        # wp-includes/comment.php: who commented; he also sees what of his is not approved yet.
        r"comment_author_[^=;]*",
        # Not wp-settings-… (wp-includes/option.php) and wp-saving-post (wp-admin/post.php), read
        # below wp-admin; wp_lang (wp-includes/l10n.php) and wp-resetpass-…, read in wp-login.php;
        # and wp-activate-…, read in wp-activate.php.
    ),
    # wp-includes/template-canvas.php, theme-compat/footer.php and footer-embed.php, and themes.
    "</html>",
)

_DOKUWIKI = Application(
    (
        # inc/init.php: DOKU_SESSION_NAME, with the trail of pages that a visitor saw, and messages.
        r"DokuWiki",
        # inc/init.php: DOKU_COOKIE, set in inc/auth.php for who is logged in.
        r"DW[0-9a-f]{32}",
        # inc/common.php: get_doku_pref, for plugins and templates too; lib/scripts/cookie.js.
        r"DOKU_PREFS",
    ),
    # lib/tpl/dokuwiki/main.php, detail.php and mediamanager.php.
    "</html>",
)

_MEDIAWIKI = Application(
    (
        # Most begin with $wgCookiePrefix, by default the name of the database
        # (includes/MainConfigSchema.php), and perhaps ss0- (includes/WebResponse.php).
        # includes/session/CookieSessionProvider.php: getVaryCookies. UserName, which stays for half
        # a year after a logout, only fills in Special:UserLogin, and UserID is nothing by itself.
        *(r"[^=;]*_session", r"[^=;]*Token", r"[^=;]*LoggedOut", r"(?:ss0-)?forceHTTPS"),
        # includes/session/BotPasswordSessionProvider.php
        r"[^=;]*_BPsession",
        # includes/block/BlockManager.php: who is blocked sees no tab to edit.
        r"[^=;]*BlockID",
        # includes/EditPage.php, includes/page/Article.php: who has just saved is told so.
        r"[^=;]*PostEditRevision\d+",
        # includes/MediaWiki.php, includes/db/MWLBFactory.php: who has just written something is to
        # see it, past what is kept.
        *(r"UseCDNCache", r"UseDC", r"cpPosIndex"),
        # includes/specialpage/ChangesListSpecialPage.php and specials/SpecialRecentChanges.php:
        # what is folded.
        *(r"[^=;]*changeslist-state", r"[^=;]*rcfilters-toplinks-collapsed-state"),
        # includes/ResourceLoader/ResourceLoader.php: inDebugMode
        r"resourceLoaderDebug",
        # extensions/VisualEditor/includes/Hooks.php: which tabs to edit there are.
        r"VEE",
        # Not mwuser-sessionId (resources/src/mediawiki.user.js), which many have and which is only
        # logged (includes/session/SessionManager.php); nor hidetoc (mediawiki.toc/toc.js) and
        # codeEditor-… (extensions/CodeEditor), read in the browser.
    ),
    # includes/OutputPage.php: tailElement, of all skins.
    "</html>",
)

APPLICATIONS: Mapping[str, Application] = {
    "wordpress": _WORDPRESS,
    "dokuwiki": _DOKUWIKI,
    "mediawiki": _MEDIAWIKI,
}
"""By name."""
