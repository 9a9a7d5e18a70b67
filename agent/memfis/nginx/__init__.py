"""What the Python side knows of nginx: its site, media types, what it tells and keeps."""
