<?php
// What WordPress's own pages of installation and settings do, once.
$_SERVER += ['HTTP_HOST' => 'blog.example.org', 'REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/'];
define('WP_INSTALLING', true);
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
if (is_blog_installed()) {
    exit("there\n");
}
remove_all_filters('wp_mail');
add_filter('pre_wp_mail', '__return_true');
wp_install('Blog', 'ada', 'ada@example.org', true, '', 'battery-staple');
wp_update_user(['ID' => 1, 'display_name' => 'Ada Lovelace', 'first_name' => 'Ada']);
$bob = wp_create_user('bob', 'battery-staple', 'bob@example.org');
wp_update_user(['ID' => $bob, 'display_name' => 'Bob Babbage', 'role' => 'editor']);
// The pages are theirs, so that no name on them is that of who is logged in.
$writer = wp_create_user('writer', wp_generate_password(), 'writer@example.org');
wp_update_user(['ID' => $writer, 'display_name' => 'A writer', 'role' => 'author']);
wp_update_post(['ID' => 1, 'post_author' => $writer]);
update_option('comment_previously_approved', '0');
update_option('comments_notify', '0');
$GLOBALS['wp_rewrite']->set_permalink_structure('/%year%/%monthnum%/%postname%/');
flush_rewrite_rules();
echo "installed\n";
