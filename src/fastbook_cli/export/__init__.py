"""``fastbook export``: what the database holds, as CSV or Parquet, however much of it there is."""
