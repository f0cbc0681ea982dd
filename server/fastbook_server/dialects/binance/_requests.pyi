"""Requests of the socket API, read in one pass over their bytes."""

def plain_request(data: bytes) -> tuple[str, int | str | None, dict[str, str]] | None:
    """Return the method of a request, its id, and its parameters as texts.

    None unless it is written plainly, with nothing else and nothing twice.
    """

def signed_text(params: dict[str, str]) -> bytes:
    """Return the parameters but the signature, sorted by name, as ``name=value&name=value``."""
