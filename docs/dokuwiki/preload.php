<?php
// What nginx and the memfis agent ask for everybody (MEMFIS_SHARED) is asked without cookies. So it
// needs none for a session, nor one that says that nobody is logged in; it may be kept, and does not
// vary by cookie: whoever has one of DokuWiki's is let through to PHP.
if (isset($_SERVER['MEMFIS_SHARED'])) {
    session_cache_limiter('');
    header_register_callback(static function () {
        header_remove('Set-Cookie');
        header_remove('Vary');
    });
}
