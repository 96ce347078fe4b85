"""Grades programs that models wrote: each is judged in a sandbox by tests that it cannot reach.

`gnomon grade SAMPLES.jsonl --problems HumanEval.jsonl.gz`
"""

from gnomon.grade.grading import Finished, Grading, grade

__all__ = ["Finished", "Grading", "grade"]
