<?php
// No two pages that it makes are equal, so a page says whether it is the same as before.
header('Content-Type: text/html; charset=utf-8');
printf("<h1>%s</h1>\n", htmlspecialchars($_SERVER['REQUEST_URI']));
printf("<p>%s</p>\n", bin2hex(random_bytes(16)));
