"""What every daemon of ours needs: sockets, the word to systemd, figures over HTTP."""
