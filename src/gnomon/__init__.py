"""A laboratory for language models: train them, ask them, compare them; every number with its interval.

    import gnomon

    report = gnomon.assay("self-knowledge", model="brook")   # a Report; notebooks draw it
    report = gnomon.study("sizes", "self-knowledge", ["run:7f3a", "brook"])
    model = gnomon.train("pretrain", model_size="xs")         # "run:7f3a91c2"
    report = gnomon.explain("induction", model)
    found = gnomon.fuzz("http://127.0.0.1:8000", max_time=10) # defects of a web API
    report = gnomon.grade("samples.jsonl", "HumanEval.jsonl.gz")
    gnomon.load_model(model)                                  # a Model

Importing this loads no NumPy, SciPy or torch: each comes on first use.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnomon.api import assay, explain, fuzz, grade, load_model, study, train

    __version__: str
else:
    import gnomon.assay
    import gnomon.explain
    import gnomon.fuzz
    import gnomon.grade
    import gnomon.study
    import gnomon.train

__all__ = ["__version__", "assay", "explain", "fuzz", "grade", "load_model", "study", "train"]


class _Verb(ModuleType):
    """A package of methods that can be called: `gnomon.assay(NAME)` beside `gnomon.assay.self_knowledge`.

    Python binds a package's name over any function of that name as soon as one of its modules is imported, so the
    package itself has to answer the call.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from gnomon import api

        return getattr(api, self.__name__.rpartition(".")[2])(*args, **kwargs)


if not TYPE_CHECKING:
    for each in (gnomon.assay, gnomon.explain, gnomon.fuzz, gnomon.grade, gnomon.study, gnomon.train):
        each.__class__ = _Verb


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gnomon")
    if name == "load_model":
        from gnomon.api import load_model

        return load_model
    raise AttributeError(f"module 'gnomon' has no attribute {name!r}")
