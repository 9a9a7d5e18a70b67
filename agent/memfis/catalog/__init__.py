"""What the store says a site holds: its directories, the site itself, and what nobody recorded."""
