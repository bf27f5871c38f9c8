"""Pipelines over S3 access logs: `reduce` (raw logs to tables of few columns)."""
