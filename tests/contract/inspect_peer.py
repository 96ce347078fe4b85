"""Reads an Inspect log with inspect-ai, by every way it has, and prints what it saw; run by an interpreter that has it.

python tests/contract/inspect_peer.py LOG
"""

from __future__ import annotations

import json
import sys
from typing import Any


def seen(path: str) -> dict[str, Any]:
    """Header, samples and summaries as inspect-ai reads them, and whether it writes what it can read again."""
    from inspect_ai.log import (
        list_eval_logs,
        read_eval_log,
        read_eval_log_sample,
        read_eval_log_sample_summaries,
        read_eval_log_samples,
        write_eval_log,
    )

    log = read_eval_log(path)
    header = read_eval_log(path, header_only=True)
    assert header.eval == log.eval and header.results == log.results
    assert [info.name for info in list_eval_logs(path.rpartition("/")[0])]
    samples = log.samples or []
    ids = [sample.id for sample in read_eval_log_samples(path, all_samples_required=False)]
    one = read_eval_log_sample(path, id=samples[0].id)
    assert one.model_dump() == samples[0].model_dump()
    write_eval_log(log, path.replace(".eval", "-again.eval"))
    again = read_eval_log(path.replace(".eval", "-again.eval"))
    # Long texts of events become attachments where Inspect writes them.
    kept = {"exclude": {"events", "attachments"}}
    assert [s.model_dump(**kept) for s in again.samples or []] == [s.model_dump(**kept) for s in samples]
    # Inspect makes the summaries of what it read itself; those in the log are to be the same.
    made = [sample.summary().model_dump(mode="json") for sample in samples]
    return {
        "header": header.model_dump(mode="json"),
        "samples": [sample.model_dump(mode="json") for sample in samples],
        "ids": ids,
        "summaries": [s.model_dump(mode="json") for s in read_eval_log_sample_summaries(path)],
        "summaries_made": made,
    }


if __name__ == "__main__":
    json.dump(seen(sys.argv[1]), sys.stdout)
