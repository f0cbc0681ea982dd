"""``fastbook export``: tables of the database as CSV or Parquet, of any size."""
