"""The order book server: sockets on one side, the channels on the other."""
