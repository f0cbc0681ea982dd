"""The matching server: commands in, committed events out."""
