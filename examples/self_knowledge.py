"""Does a model know what it knows? The model that ships, beside one whose calibration is known by construction.

    python examples/self_knowledge.py

Prints accuracy, mean confidence and calibration slope of both; a perfectly calibrated model has slope 1.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import gnomon

SUBJECTS = {
    "brook": "brook",  # questions about the embedded world
    "planted:calibrated?a=0&b=1": "synthetic",  # made-up questions, answered by a formula
}
METRICS = ("accuracy", "confidence", "calibration slope")


def main() -> None:
    """Asks each model 200 questions by letter, in a folder of runs that is thrown away."""
    with TemporaryDirectory() as folder:
        for model, data in SUBJECTS.items():
            report = gnomon.assay(
                "self-knowledge",
                model=model,
                root=Path(folder),
                only=["calibration"],
                forms=["lettered"],
                data=[data],
                n=200,
            )
            print(model)
            for estimate in report.estimates:
                if estimate.metric in METRICS and estimate.value is not None:
                    bounds = f"[{estimate.low:.2f}, {estimate.high:.2f}]" if estimate.low is not None else ""
                    print(f"  {estimate.metric:18} {estimate.value:6.2f}  {bounds}  n {estimate.n}")


if __name__ == "__main__":
    main()
