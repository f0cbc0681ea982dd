"""Recorded order flow, played through the public endpoint as an ordinary client."""
