<?php
// Lets pages for everybody come into memory, and takes them out when they change.
// At the end of LocalSettings.php: require '/etc/mediawiki/memfis.php';

// MediaWiki says which pages may be kept, and for how long ($wgCdnMaxAge), and sends PURGE for what
// changes: as to a proxy, by plain HTTP, to this host's nginx, wherever the wiki's name leads to.
$wgUseCdn = true;
$wgCdnServers = $wgCdnServers ?: ['127.0.0.1:80'];
$wgInternalServer = 'http://' . parse_url($wgServer, PHP_URL_HOST);

// The first page has two URLs where $wgMainPageIsDomainRoot is set, and PURGE would name one.
$wgHooks['HtmlCacheUpdaterAppendUrls'][] = static function ($title, $mode, &$urls) {
    global $wgArticlePath, $wgInternalServer;
    if ($title->isMainPage()) {
        $urls[] = "$wgInternalServer/";
        $urls[] = $wgInternalServer . str_replace('$1', wfUrlencode($title->getPrefixedDBkey()), $wgArticlePath);
    }
};

// What nginx and the memfis agent ask for everybody is nobody's request. Its answer does not vary by
// cookie, as whoever has one of MediaWiki's is let through to PHP; by language it still may. What
// memcached_pass could not say from memory is left out: the language stands in the page, Link only names
// a logo to load early, and X-Content-Type-Options is said for all of the site in `headers`.
if (isset($_SERVER['MEMFIS_SHARED'])) {
    header_register_callback(static function () {
        // There is one callback, and MediaWiki has registered its own before.
        foreach (['MediaWiki\HeaderCallback', 'MediaWiki\Request\HeaderCallback'] as $class) {
            if (class_exists($class, false)) {
                $class::callback();
                break;
            }
        }
        $said = ['vary' => [], 'cache-control' => []];
        foreach (headers_list() as $line) {
            [$name, $values] = explode(':', $line, 2);
            foreach (explode(',', $values) as $value) {
                $said[strtolower(trim($name))][] = trim($value);
            }
        }
        header_remove('Vary');
        if ($varies = array_diff($said['vary'], ['Cookie', 'Authorization'])) {
            header('Vary: ' . implode(', ', $varies));
        }
        // While PHP is away an old page is better than none; a browser asks each time anyhow.
        if (preg_grep('/^s-maxage=/', $said['cache-control'])) {
            $said['cache-control'] = array_diff($said['cache-control'], ['must-revalidate']);
            header('Cache-Control: ' . implode(', ', [...$said['cache-control'], 'stale-if-error=86400']));
        }
        if (($_SERVER['MEMFIS_FROM_MEMORY'] ?? '') !== 'lua') {
            array_map('header_remove', ['Content-Language', 'Link', 'X-Content-Type-Options']);
        }
    });
}
