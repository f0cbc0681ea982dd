"""Recorded order flow, played into the public endpoint by an ordinary client."""
