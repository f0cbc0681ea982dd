"""UUID texts from numbers and back: digit by digit, since every order bears one."""

def text_of(high: int, low: int) -> str:
    """Return the UUID of these 64 and 62 bits; the variant of RFC 9562 comes between them."""

def low_bits(text: str) -> int:
    """Return the last 62 bits of a UUID text in lower case; -1 if `text` cannot be one."""
