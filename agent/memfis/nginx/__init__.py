"""All that the Python side knows of nginx: its site, what it tells and what it keeps."""
