"""All that the Python side knows of nginx: its site and media types, what it tells and what it keeps."""
