"""What several kinds of tests need: real programs in temporary directories, a plain client."""
