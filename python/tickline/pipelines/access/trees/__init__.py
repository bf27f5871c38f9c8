"""Trees that hold addresses: reduced, binned, extraction."""
