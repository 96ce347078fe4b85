"""Grades programs that models wrote: each is judged in a sandbox by tests that it cannot reach.

`gnomon grade SAMPLES.jsonl --problems HumanEval.jsonl.gz`, or `gnomon.grade(SAMPLES, PROBLEMS)` from Python.
"""
