"""A server draws a policy's answers: our own, on loopback; what it must give, and what happens when it is gone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from aiohttp import web

from gnomon.core.errors import ModelError, UsageError
from gnomon.learn.checkpoint import saved_step
from gnomon.learn.lora import LowRank, add_low_rank
from gnomon.models.base import Sampling
from gnomon.models.families import load_folder, save_folder
from gnomon.models.http import Http
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.serve.adapters import Adapters
from gnomon.serve.app import Service
from gnomon.serve.running import speaker_of
from gnomon.store.run import Run
from gnomon.train import rlhf
from gnomon.train._remote import Remote
from gnomon.train._running import run_training
from gnomon.train.rlhf import Rlhf
from tests.unit.test_rlhf import few, saved


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


class Served:
    """`gnomon serve --allow-adapters` over a folder, in a thread, on one port, so that it can go and come back."""

    def __init__(self, folder: Path, *, allowed: bool = True) -> None:
        self.folder, self.allowed, self.port = folder, allowed, 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.start()

    @property
    def name(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1#tiny"

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result()

    def close(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _start(self) -> None:
        self.model = load_checkpoint(self.folder, name="tiny")
        self.adapters = Adapters(self.model) if self.allowed else None
        service = Service(speaker_of(self.model), "tiny", adapters=self.adapters)
        self.runner = web.AppRunner(service.application(), shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self.runner.addresses[0][1]

    async def _stop(self) -> None:
        await self.runner.cleanup()
        if self.adapters is not None:
            await self.adapters.close()
        await self.model.close()


@contextmanager
def serving(folder: Path, **how: Any) -> Iterator[Served]:
    server = Served(folder, **how)
    try:
        yield server
    finally:
        server.close()


def remote(folder: Path, server: Served, **more: Any) -> Rlhf:
    chosen = {"lora": 3, "peak_rate": 3e-2, "every": 2, "probes": 3, "budget": 0.0, "sampler": server.name}
    return few(f"hf:{folder}", **{**chosen, **more})


def logged(folder: Path, name: str) -> list[float]:
    run = Run.find(str(folder))
    found = [m.value for m in run.metrics() if m.name == name]
    run.close()
    return found


def test_a_server_draws_what_the_engine_here_would_draw(folder: Path, tmp_path: Path) -> None:
    net, tokenizer = load_folder(folder), Tokenizer.load(folder)
    add_low_rank(net, 3)
    here = LocalModel(net, tokenizer, name="here")
    ids = tokenizer.encode("Chat: Human: how do i make a kite ? Assistant:")
    how = Sampling(max_tokens=12, seed=11)
    with serving(folder) as server:
        engine = Remote(server.name, tokenizer, net, tmp_path / "run" / "adapters")

        async def both() -> tuple[Any, Any]:
            found = await engine.sample(ids, how, 5), await here.sample(ids, how, 5)
            await engine.rest()
            return found

        said = []
        for size in (0.0, 0.3, 0.6):
            for module in net.modules():
                if isinstance(module, LowRank):
                    torch.nn.init.normal_(module.up, 0.0, size, generator=torch.Generator().manual_seed(1))
            engine.follow()
            here.weights_changed()
            far, near = asyncio.run(both())
            assert [each.tokens for each in far] == [each.tokens for each in near]
            assert [each.text for each in far] == [each.text for each in near]
            assert [each.finish for each in far] == [each.finish for each in near]
            for a, b in zip(far, near, strict=True):
                assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
            said.append([each.tokens for each in far])
        assert said[0] != said[1] != said[2]
        assert server.adapters is not None and server.adapters.names == ["run-3"]
        # A training that goes on counts from 1, and meets the adapter that it left.
        again = Remote(server.name, tokenizer, net, tmp_path / "run" / "adapters")
        for _ in range(3):
            again.follow()
        assert server.adapters.names == ["run-3"]
    assert [path.name for path in (tmp_path / "run" / "adapters").iterdir()] == ["3"]


def test_a_training_by_answers_of_a_server(folder: Path, tmp_path: Path) -> None:
    with serving(folder) as server:
        done = run_training(remote(folder, server), "rlhf", root=tmp_path)
        assert server.adapters is not None and not server.adapters.names
    assert not (done.manifest.folder / "adapters").exists()
    gaps = logged(done.manifest.folder, "sampler_gap")
    assert len(gaps) == 4 and 0 < max(gaps) < 1e-4
    assert abs(logged(done.manifest.folder, "kl")[0]) < 1e-4
    assert done.report.estimate("KL").value != 0
    local = run_training(few(f"hf:{folder}", lora=3, rounds=1, every=0), "rlhf", root=tmp_path)
    # Seeds are cut to what servers read, so texts differ; the model that answers before is the same.
    before, near = (each.report.estimate("tokens an answer before") for each in (done, local))
    assert before.n == near.n == 6


@pytest.mark.parametrize("algorithm", ["ppo", "rloo"])
def test_weights_of_the_server_s_tokens_matter_where_it_computes_otherwise(
    folder: Path, tmp_path: Path, algorithm: str
) -> None:
    other = saved(tmp_path / "other")
    net = load_folder(other)
    with torch.no_grad():
        net.embed.weight.mul_(1.004)
    save_folder(net, other)
    moved = {}
    for name, served in (("same", folder), ("other", other)):
        with serving(served) as server:
            cfg = remote(folder, server, algorithm=algorithm, rounds=2, every=0)
            plain, weighed = (
                run_training(replace(cfg, importance_cap=cap), "rlhf", root=tmp_path / name).manifest.folder
                for cap in (0.0, 2.0)
            )
        weights = [load_folder(each / "checkpoint").state_dict() for each in (plain, weighed)]
        apart = max(float((a - b).abs().max()) for a, b in zip(*(w.values() for w in weights), strict=True))
        moved[name] = (apart, abs(logged(weighed, "importance")[0] - 1), logged(plain, "importance"))
    assert moved["same"][0] < 1e-4 and moved["same"][1] < 1e-4
    assert moved["other"][0] > 1e-3 and moved["other"][1] > 1e-4
    assert moved["same"][2] == []


def test_a_server_that_dies_stops_the_run_in_a_line_and_the_same_command_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnomon.models.http.Retry.wait_s", lambda *_: 0.0)
    with serving(folder) as server:
        cfg = remote(folder, server)
        whole = run_training(cfg, "rlhf", root=tmp_path / "whole")
        call, made = Http.call, [0]

        async def dying(self: Http, route: str, *args: Any, **more: Any) -> Any:
            made[0] += route == "/load_lora_adapter"
            if made[0] == 4:
                made[0] += 1
                await asyncio.to_thread(server.stop)
            return await call(self, route, *args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Http, "call", dying)
            plan = rlhf._plan
            patch.setattr(rlhf, "_plan", lambda cfg: replace(plan(cfg), save_every_s=0.0))
            with pytest.raises(ModelError) as caught:
                run_training(cfg, "rlhf", root=tmp_path / "cut")
        told = str(caught.value)
        assert told.startswith(
            f"http://127.0.0.1:{server.port}/v1/load_lora_adapter: cannot connect (Connection refused)"
        )
        assert told.endswith("then give the same command again to resume") and "\n" not in told
        (state,) = (tmp_path / "cut").glob("*/state.safetensors")
        assert saved_step(state) == 1
        server.start()
        again = run_training(cfg, "rlhf", root=tmp_path / "cut")
        first, second = (each.manifest.folder / "checkpoint" / "model.safetensors" for each in (whole, again))
        assert first.read_bytes() == second.read_bytes()


def test_a_server_of_another_model_is_an_error_with_the_gap(folder: Path, tmp_path: Path) -> None:
    other = saved(tmp_path / "other")
    net = load_folder(other)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.2)
    save_folder(net, other)
    with (
        serving(other) as server,
        pytest.raises(ModelError, match=r"trainer differ by 0\.\d+ nats a token"),
    ):
        run_training(remote(folder, server), "rlhf", root=tmp_path / "runs")


def test_a_server_without_adapters_is_told_how_to_start(folder: Path, tmp_path: Path) -> None:
    with serving(folder, allowed=False) as server, pytest.raises(ModelError) as caught:
        run_training(remote(folder, server), "rlhf", root=tmp_path)
    assert "/v1/load_lora_adapter: no model 'tiny' or no such route (HTTP 404" in str(caught.value)
    assert "gnomon serve --allow-adapters, or vllm serve --enable-lora with VLLM_ALLOW" in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"text": " a", "finish_reason": "stop"}, "did not give an answer's token ids, each with its log-probability"),
        ({"token_ids": [5, 6], "logprobs": {"token_logprobs": [-1.0]}}, "did not give an answer's token ids"),
        (
            {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}, "finish_reason": "stop"},
            "did not give the token that ends a text among the answer's; use one that knows return_token_ids",
        ),
    ],
)
def test_answers_that_lack_what_training_needs_are_refused(
    folder: Path, choice: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(self: Http, route: str, body: Any) -> Any:
        assert (body["temperature"], body["top_p"], body["top_k"], body["logprobs"]) == (1.0, 1.0, -1, 0)
        return {"choices": [choice]}

    monkeypatch.setattr(Http, "call", call)
    engine = Remote("http://127.0.0.1:9/v1#tiny", Tokenizer.load(folder), load_folder(folder), None)
    with pytest.raises(ModelError) as caught:
        asyncio.run(engine.sample([3, 4], Sampling(max_tokens=4), 1))
    assert told in str(caught.value)


def test_a_sampler_without_an_update_is_refused() -> None:
    with pytest.raises(UsageError, match="--sampler: a server follows a low-rank update; give --lora RANK too"):
        Rlhf(sampler="http://127.0.0.1:8000/v1#brook-assistant")


@contextmanager
def command(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command under way; ended at the end."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "gnomon", *map(str, words)]
    with subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def served(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server as a process, and its port."""
    with command("serve", f"hf:{folder}", "--port", str(port), "--allow-adapters") as server:
        assert server.stdout is not None
        yield server, int(server.stdout.readline().rpartition(":")[2])


@pytest.mark.slow
def test_the_commands_a_killed_server_and_the_same_command_again(folder: Path, tmp_path: Path) -> None:
    few_flags = "--rounds 30 --answers 8 --held-out 6 --probes 3 --max-tokens 12 --lora 3 --budget 0"
    words = ["train", "rlhf", "--reward", "brook:gold", "--model", f"hf:{folder}", *few_flags.split()]
    words += ["--out", str(tmp_path)]
    with served(folder, 0) as (server, port):
        words += ["--sampler", f"http://127.0.0.1:{port}/v1#hf:{folder}"]
        with command(*words) as training:
            while not [run for run in tmp_path.glob("train-rlhf-*") if len(logged(run, "loss")) > 2]:
                assert training.poll() is None
                time.sleep(0.2)
            server.kill()
            server.wait()
            _, told = training.communicate(timeout=120)
            assert training.returncode == 3
            last = told.strip().splitlines()[-1]
            assert last.startswith(f"gnomon: http://127.0.0.1:{port}/v1/")
            assert last.endswith("then give the same command again to resume")
    with served(folder, port), command(*words) as training:
        shown, told = training.communicate(timeout=200)
        assert training.returncode == 0, told
    assert "reward gained" in shown
    (run,) = tmp_path.glob("train-rlhf-*")
    assert len(logged(run, "loss")) == 30
