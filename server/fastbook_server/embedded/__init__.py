"""A private PostgreSQL: found, started, watched and stopped."""
