"""The mapped tree of dandi_s3_log_parser: assets by dataset and version, with summaries and totals."""
