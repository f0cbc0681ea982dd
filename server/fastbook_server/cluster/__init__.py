"""More than one machine: gateways, a matcher with standbys and a recorder, joined by a log."""
