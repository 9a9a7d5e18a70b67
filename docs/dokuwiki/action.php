<?php
/** Takes a page that was edited, and those that list it, out of memory. */
class action_plugin_memfis extends DokuWiki_Action_Plugin
{
    public function register(Doku_Event_Handler $controller)
    {
        $controller->register_hook('IO_WIKIPAGE_WRITE', 'AFTER', $this, 'purge');
    }

    public function purge(Doku_Event $event)
    {
        if ($event->data[3]) {
            return; // an old revision is only put away
        }
        $id = ltrim($event->data[1] . ':' . $event->data[2], ':');
        foreach ([wl($id), '/'] as $url) {
            // To this host, whatever its name leads to; nginx takes PURGE from here.
            @file_get_contents('http://127.0.0.1' . parse_url($url, PHP_URL_PATH), false, stream_context_create([
                'http' => ['method' => 'PURGE', 'header' => 'Host: ' . $_SERVER['HTTP_HOST'], 'timeout' => 2],
            ]));
        }
    }
}
