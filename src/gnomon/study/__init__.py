"""Runs made of runs: one module a study, `gnomon study NAME EVALUATION --model A,B,C`.

A study asks nothing itself. It has an evaluation run on several models (runs that exist are used again), and reads them
together.
"""
