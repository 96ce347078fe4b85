"""Runs code that is not trusted, and judges it from outside its process.

    with Judges(2) as judges:
        verdict = judges.verdict(Check(names=("f",), test="assert f(2) == 4"), "def f(x): return x * x")

Processes, from the outside in: the command; judges (`worker`), which run the tests; a zygote a judge, which holds
nothing; and a fork of it a candidate, which answers calls with plain values and can do nothing else.
"""

from gnomon.sandbox.limits import Limits
from gnomon.sandbox.once import called
from gnomon.sandbox.pool import Job, Judges
from gnomon.sandbox.protection import Protection, SandboxError, protect
from gnomon.sandbox.verdict import CAUSES, Cause, Check, Verdict

__all__ = [
    "CAUSES",
    "Cause",
    "Check",
    "Job",
    "Judges",
    "Limits",
    "Protection",
    "SandboxError",
    "Verdict",
    "called",
    "protect",
]
