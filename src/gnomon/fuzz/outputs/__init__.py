"""Defects as other tools read them."""
