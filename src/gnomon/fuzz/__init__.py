"""Fuzzing web APIs: a schema in, a short list of distinct, minimal, reproducible defects out."""
