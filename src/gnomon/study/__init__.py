"""Runs made of runs: one module or small folder a study, `gnomon study NAME EVALUATION --model A,B,C`.

A study asks nothing itself. It trains models or has an evaluation run on several (runs that exist are used again), and
reads them together.
"""
