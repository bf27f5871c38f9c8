"""Raw logs to the few columns that are needed."""
