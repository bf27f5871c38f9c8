"""Summaries as files: the native layout and the one of s3-log-extraction."""
