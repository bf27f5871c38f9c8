"""Checks of a store: files, ledger, sums, and sources read again."""
