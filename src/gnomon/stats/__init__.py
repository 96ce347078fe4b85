"""Statistics used by every instrument: pure functions of rows and their clusters; estimates carry 95 % intervals."""
