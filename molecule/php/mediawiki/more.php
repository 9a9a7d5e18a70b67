<?php
// What an administrator adds to the settings that MediaWiki's installation wrote.
$wgArticlePath = '/wiki/$1';
$wgUsePathInfo = true;
$wgMainPageIsDomainRoot = true;
$wgEnableEmail = false;
require '/etc/mediawiki/memfis.php';
