"""The log on NATS JetStream, and the line on core NATS: the only room that knows of either."""
