"""How commands and a running agent talk: messages over a unix socket, a client and a server."""
