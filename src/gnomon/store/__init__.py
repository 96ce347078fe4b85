"""Runs on disk: manifest, rows, metrics and model calls, which survive a kill and resume."""
