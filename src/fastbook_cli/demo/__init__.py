"""The companions of a newcomer's first minute: traders and a live view, ordinary clients all."""
