"""The server measured from outside, beside the least that could do the same work."""
