"""Sums of a store by day, week, region, asset, type and dataset."""
