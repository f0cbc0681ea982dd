"""Gateways that speak as other venues do: compatible with their clients, not affiliated."""
