"""Binance's spot API: compatible with it, not affiliated with Binance."""
