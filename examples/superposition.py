"""When does a model keep more features than it has dimensions? A toy that shows the turn.

    python examples/superposition.py

Trains small models on features that are seldom and seldomer there, and prints how many dimensions each feature has.
"""

from __future__ import annotations

import gnomon


def main() -> None:
    """Runs one experiment, and prints its estimates."""
    report = gnomon.explain("superposition", only=["basic"], seeds=2)
    print(report.summary)
    for estimate in report.estimates[:8]:
        print(f"  {estimate.metric} {estimate.group}: {estimate.value:.2f}")


if __name__ == "__main__":
    main()
