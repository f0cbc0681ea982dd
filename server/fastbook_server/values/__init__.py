"""What every room speaks of: instruments, ids, events, persisted state, candles, the clock."""
