"""What is withheld or rounded before numbers are published, and the audit of what was."""
