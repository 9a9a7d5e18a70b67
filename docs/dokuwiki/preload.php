<?php
// What nginx and the memfis agent ask for everybody (MEMFIS_SHARED) is asked without cookies, so it
// needs no session, and does not vary by cookie either: whoever has one of DokuWiki's is let through.
if (isset($_SERVER['MEMFIS_SHARED'])) {
    if (!defined('NOSESSION')) define('NOSESSION', true);
    header_register_callback(static function () {
        header_remove('Vary');
    });
}
