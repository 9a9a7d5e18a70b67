<?php
define('DB_NAME', 'wordpress');
// By its user on this host: there is no password.
define('DB_USER', 'memfis-php');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:/run/mysqld/mysqld.sock');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
// By the second name it is behind a proxy that ends TLS.
$homes = ['https://secure.example.org', 'http://plain.example.org', 'http://blog.example.org'];
define('WP_HOME', current(array_filter($homes, static function ($home) {
    return parse_url($home, PHP_URL_HOST) === ($_SERVER['HTTP_HOST'] ?? '');
})) ?: end($homes));
define('WP_SITEURL', WP_HOME);
// There is no network to ask, nor a visitor to work for.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
