"""What the Python side knows of nginx: its site, its media types, what it tells and keeps."""
