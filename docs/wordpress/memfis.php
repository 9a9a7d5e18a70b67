<?php
/**
 * Plugin Name: memfis
 * Description: Lets pages for everybody come into memory, and takes them out when they change.
 */

// WordPress names the URLs of its interfaces in a header too. They stand in the page's head, and
// memcached_pass could not say them from memory.
if (isset($_SERVER['MEMFIS_SHARED']) && ($_SERVER['MEMFIS_FROM_MEMORY'] ?? '') !== 'lua') {
    header_register_callback(static function () {
        header_remove('Link');
    });
}

// nginx takes PURGE from this host; it is found by its address, wherever the site's name leads to.
defined('MEMFIS_PURGE') || define('MEMFIS_PURGE', 'http://127.0.0.1');

/** Asks nginx to take out a path, or all that a regular expression fits. */
function memfis_purge($path, $method = 'exact')
{
    $answer = @file_get_contents(MEMFIS_PURGE . $path, false, stream_context_create([
        'http' => [
            'method' => 'PURGE',
            'header' => ['Host: ' . parse_url(home_url(), PHP_URL_HOST), "X-Purge-Method: $method"],
            'timeout' => 2,
        ],
    ]));
    if ($answer === false) {
        error_log('memfis: PURGE ' . MEMFIS_PURGE . "$path failed: " . (error_get_last()['message'] ?? ''));
    }
}

/** Remembers what changed until all of it is written; `null` is everything. */
function memfis_changed($path = null)
{
    static $paths = null;
    if ($paths === null) {
        $paths = [];
        // Before WordPress sends what it has buffered (1), so that whoever is answered sees the new page.
        add_action('shutdown', static function () use (&$paths) {
            if (in_array(null, $paths, true)) {
                memfis_purge('/.*', 'regex');
            } else {
                array_map('memfis_purge', array_unique($paths));
            }
        }, 0);
    }
    $paths[] = $path;
}

// A post is also in lists, menus, feeds and beside its neighbours: everything is made anew.
add_action('transition_post_status', static function ($new, $old) {
    if ($new === 'publish' || $old === 'publish') {
        memfis_changed();
    }
}, 10, 2);
add_action('before_delete_post', static function ($id) {
    if (get_post_status($id) === 'publish') {
        memfis_changed();
    }
});
// What stands around all pages, or says how they look.
foreach ([
    ...['switch_theme', 'wp_update_nav_menu', 'edited_term', 'delete_term', 'profile_update'],
    ...['activated_plugin', 'deactivated_plugin', 'upgrader_process_complete'],
] as $hook) {
    add_action($hook, static function () {
        memfis_changed();
    });
}
add_action('updated_option', static function ($name) {
    $shown = 'widget_.*|theme_mods_.*|sidebars_widgets|sticky_posts|blog(name|description)|home|siteurl|WPLANG'
        . '|(date|time)_format|timezone_string|gmt_offset|permalink_structure|(category|tag)_base'
        . '|show_on_front|page_(on_front|for_posts)|posts_per_page';
    if (preg_match("/^(?:$shown)$/", $name)) {
        memfis_changed();
    }
});
// A comment is on its post's page, and counted on the front page; where comments are paged, it moves
// others from page to page.
function memfis_commented($comment)
{
    $comment = get_comment($comment);
    if (get_option('page_comments')) {
        memfis_changed();
    }
    foreach ([get_permalink($comment->comment_post_ID), home_url('/')] as $url) {
        memfis_changed(parse_url($url, PHP_URL_PATH));
    }
}
add_action('comment_post', static function ($id, $approved) {
    if ($approved === 1) {
        memfis_commented($id);
    }
}, 10, 2);
add_action('edit_comment', 'memfis_commented');
add_action('transition_comment_status', static function ($new, $old, $comment) {
    if ($new === 'approved' || $old === 'approved') {
        memfis_commented($comment);
    }
}, 10, 3);
