"""Slow, obvious readings of the formats: the tests and ``tickline access verify`` compare with them."""
