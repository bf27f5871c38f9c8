"""What talks to the outside: each module needs an extra, and imports it only where it is used."""
