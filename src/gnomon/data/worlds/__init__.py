"""Worlds made up whole, so that everything a model could know of them is known."""
