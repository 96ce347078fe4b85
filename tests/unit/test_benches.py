"""What the benches rest on: the fast ways give what the slow ones give, and the table tells met from missed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benches.bench import Cost, Figure, ask_peer, measured, publish, seconds_of
from benches.harness import bound, figures, run
from benches.resume import again, kept, reported
from benches.trials import Unreported, lettered
from gnomon.assay.self_knowledge import SelfKnowledge, scores
from gnomon.core.config import digest, to_json
from gnomon.core.record import Item
from gnomon.stats.ranking import auroc
from gnomon.trial.runner import items_digest


def test_items_digest_is_the_digest_of_their_json() -> None:
    items = [
        Item(id="a", question="é\n", choices=("x", "y"), gold=1, meta={"shots": 0, "refused": ["b"], "z": {"q": (1,)}}),
        Item(id="b", cluster="c", answers=("1", "one"), meta={"count": None, "share": 0.1}),
    ]
    assert items_digest(items) == digest([to_json(item) for item in items])
    assert items_digest(items) != items_digest(items[::-1])


def test_resuming_without_a_report_is_resuming(tmp_path: Path) -> None:
    first = again(40, tmp_path)
    assert (first.asked, first.total) == (40, 40)
    assert again(40, tmp_path).asked == 0
    rows = kept(first)
    assert len(rows) == 40
    html = reported(lettered(SelfKnowledge, 40), rows)
    assert "accuracy" in html


def test_both_runs_of_the_harness_are_the_same_run(tmp_path: Path) -> None:
    run(lettered(SelfKnowledge, 20), tmp_path)
    run(lettered(Unreported, 20), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    model, items = bound(20)
    assert model.name == "planted:calibrated" and len(items) == 20


def test_the_planted_model_is_taken_off_the_harness() -> None:
    found = figures(Cost(3.0, 6.0), Cost(2.0, 4.0), Cost(1.0, 2.0), 1000, {"cpu_ms": 16.0, "name": "peer"})
    assert [f.cpu for f in found] == pytest.approx([2.0, 1.0, 1.0])
    assert (found[0].met, found[0].ratio) == (False, 8.0)
    without = figures(Cost(1.5, 6.0), Cost(1.2, 4.0), Cost(1.0, 2.0), 1000, {"reason": "not installed"})
    assert (without[0].met, without[0].ratio, without[0].peer_name) == (True, None, "not installed")


def test_publish_prints_and_keeps_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = Figure(name="fast", cpu=0.5, wall=0.7, unit="s", target=1.0, peer=2.0, peer_name="other")
    slow = Figure(name="slow", cpu=1.5, wall=None, unit="s", target=1.0)
    publish("some", [fast, slow], str(tmp_path / "some.json"))
    _, first, second, memory = capsys.readouterr().out.splitlines()
    assert first.split() == ["fast", "0.500", "0.700", "s", "1.000", "met", "2.000", "4.0", "other"]
    assert second.split() == ["slow", "1.500", "s", "1.000", "MISSED"]
    assert memory.startswith("peak memory ")
    record = json.loads((tmp_path / "some.json").read_text())
    assert record["bench"] == "some" and record["peak_bytes"] > 2**20
    assert [(f["met"], f["ratio"]) for f in record["figures"]] == [(True, 4.0), (False, None)]


def test_measured_warms_up_once() -> None:
    calls: list[int] = []
    cost = measured(lambda: calls.append(1), 3)
    assert len(calls) == 4 and cost.cpu >= 0 and cost.wall >= 0


def test_a_process_counts_its_own_time_and_its_failure() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    assert seconds_of([sys.executable, "-c", busy], 1).cpu >= 0.2
    with pytest.raises(RuntimeError, match="ended with 3"):
        seconds_of([sys.executable, "-c", "raise SystemExit(3)"], 1)


def test_a_peer_that_cannot_run_says_why() -> None:
    found = ask_peer(sys.executable, "harness_peer.py")
    assert "inspect_ai" in found["reason"] or "cpu_ms" in found


def test_the_interval_of_many_items_is_that_of_few() -> None:
    # Both sides of the change from bootstrap to DeLong: ends agree within a fifth of the standard error's four.
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.1, 0.9, 4 * scores.MANY_CLUSTERS)
    known = rng.random(len(stated)) < stated
    clusters = [f"c{i // 4}" for i in range(len(stated))]
    config = SelfKnowledge(resamples=400)
    quick = scores.area(config, stated, known, clusters)
    slow = auroc(stated, known, clusters, resamples=400)
    assert (quick.method, quick.clusters) == ("DeLong", scores.MANY_CLUSTERS)
    assert quick.value == pytest.approx(slow.value)
    assert [quick.low, quick.high] == pytest.approx([slow.low, slow.high], abs=0.2 * 4 * slow.se)
    fewer = slice(0, -4)
    few = scores.area(config, stated[fewer], known[fewer], clusters[fewer])
    assert few == auroc(stated[fewer], known[fewer], clusters[fewer], resamples=400)


def test_the_trainings_of_the_bench_take_every_text_once() -> None:
    from benches.training import BATCH, comparing, differing, fine_tuning, of_rounds, plain, reached, shown
    from benches.training import Round as Trained

    for task in (fine_tuning(2), comparing(2)):
        things = [json.dumps(plain(thing)) for batch in task.batches for thing in batch]
        assert len(things) == 2 * BATCH
        assert task.tokens > 20 * len(things)
        model, step = task.begin()
        assert step(model, task.lay(task.batches[0][:2])).loss.item() > 0
        rounds = [Trained(100.0, 110.0, 150.0, 130.0), Trained(100.0, 110.0, 170.0, 130.0)]
        first, second = shown(task, rounds, "peer", 1e-5)
        assert (first.met, first.ratio, second.met) == (True, 1.6, None)
        assert "ratio 1.60 (0.33 to 2.87)" in first.peer_name
        assert reached(task, rounds, 50.0)["things_per_cpu_s"] == pytest.approx(320.0)
    assert np.isnan(differing(task, None))
    assert of_rounds([1.0, 1.0]) == "1.00 (1.00 to 1.00)"


def test_the_rounds_of_the_bench_are_those_of_reinforcement_learning(tmp_path: Path) -> None:
    import torch

    from benches.rlhf import PHASES, SETTINGS, Bench, check_lengths, shown, told
    from gnomon.learn.heads import ScalarHead, save_head
    from gnomon.models.load import checkpoint_folder

    folder = Path(shutil.copytree(checkpoint_folder("brook-assistant"), tmp_path / "valued"))
    head = ScalarHead(128)
    torch.nn.init.normal_(head.out.weight, generator=torch.Generator().manual_seed(0))
    save_head(head, folder, read_at="<eoc>")
    bench = Bench(folder, 1)
    rounds = {setting.name: [bench.ours(0, same_passes=setting.same_passes)] for setting in SETTINGS}
    (every,), (needed,) = rounds.values()
    assert every.lengths == needed.lengths and len(every.lengths) == 64
    for round_ in (every, needed):
        assert min(round_.phases[phase] for phase in PHASES) > 0
        assert sum(round_.phases.values()) == pytest.approx(round_.cpu)
        assert 0 < round_.pushed < sum(round_.lengths)
    asked = [question.cluster for question in bench.questions[0] for _ in range(4)]
    found = told([every], asked)
    assert found["answer_tokens"] == pytest.approx(sum(every.lengths) / 64, abs=0.05)
    peer = replace(every, cpu=2.5 * every.cpu)
    first, second = shown({name: [r, r] for name, (r,) in rounds.items()} | {"peer": [peer] * 2}, "peer", 1e-6)
    assert (first.met, first.ratio) == (True, pytest.approx(2.5))
    assert first.peer_name == "peer, ratio 2.50 (2.50 to 2.50), equal within 1e-06"
    assert second.met is (peer.cpu / needed.cpu >= 3)
    check_lengths([every], [needed], asked)
    with pytest.raises(RuntimeError, match="tokens, and the peer's"):
        check_lengths([every], [replace(every, lengths=[40] * 64)], asked)
