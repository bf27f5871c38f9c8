"""Which dataset owns what."""
