"""The seam between the two servers: commands one way, committed batches the other."""
