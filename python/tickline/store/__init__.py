"""The access store: Parquet parts and daily sums, a ledger in SQLite, queries by DuckDB."""
