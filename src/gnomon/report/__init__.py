"""The two kinds of result, estimates and findings, as a terminal table, a page and JSON."""
