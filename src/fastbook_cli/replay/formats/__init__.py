"""A reader per format. Each says by the first bytes of a file whether it is one of its own."""
