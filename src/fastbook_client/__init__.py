"""The client library of a fastbook server."""
