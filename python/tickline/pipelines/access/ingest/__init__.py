"""Raw logs and old trees into a store."""
