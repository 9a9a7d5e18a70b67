"""What is in the store, and how it is named: keys, pages, records of directories."""
