"""Every model name leads to its model, and every wrong one to one clear line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from test_local import PLAIN, logp, tiny, together

from gnomon.core.errors import GnomonError, ModelError, UsageError
from gnomon.data.worlds.brook import world
from gnomon.models.base import Ability, Sampling
from gnomon.models.families import save_folder
from gnomon.models.load import content_hash, load, load_checkpoint
from gnomon.models.local import LocalModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_folder(tiny(PLAIN).net, tmp_path / "model", tokenizer=PLAIN)  # type: ignore[arg-type]
    return tmp_path / "model"


def test_a_folder_is_a_model(folder: Path) -> None:
    model = load(f"hf:{folder}")
    assert isinstance(model, LocalModel) and model.name == f"hf:{folder}"
    [score] = together(model.score("The old mill", " stands"))
    whole = PLAIN.encode("The old mill stands")
    assert score.logprobs == pytest.approx(logp(model, whole, len(PLAIN.encode("The old mill"))), abs=1e-4)


def test_the_revision_follows_the_content_not_the_place(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("about")
    (tmp_path / "copy").mkdir()
    for file in folder.iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    assert content_hash(folder) == content_hash(tmp_path / "copy") == load(f"hf:{folder}").revision
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert content_hash(folder) != content_hash(tmp_path / "copy")


def test_a_head_beside_the_weights_gives_rewards(folder: Path) -> None:
    weight = torch.arange(32.0)[None]
    save_file({"out.weight": weight, "out.bias": torch.tensor([0.5])}, folder / "head.safetensors")
    model = load_checkpoint(folder)
    assert Ability.REWARD in model.can
    with torch.no_grad():
        h = model.net.hidden(torch.tensor([PLAIN.encode("The mill")]))[0, -1]
    assert together(model.reward("The mill")) == [pytest.approx(float(weight[0] @ h) + 0.5, abs=1e-3)]
    (folder / "head.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="not a scalar head"):
        load_checkpoint(folder)


def test_a_run_is_its_checkpoint(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    run = runs / "train-pretrain-7f3a91bc"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    monkeypatch.setenv("GNOMON_RUNS", str(runs))
    with pytest.raises(ModelError, match="the run has no checkpoint"):
        load("run:7f3a")
    folder.rename(run / "checkpoint")
    assert load("run:7f3a").name == "run:7f3a"


def test_the_hub_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(repo: str, **how: object) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError) as caught:
        load("hf:org/name@v2")
    message = str(caught.value)
    assert all(part in message for part in ("'org/name'", "'v2'", "no folder", "cache", "no connection", "network"))


def test_the_hub_with_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda repo, **how: asked.update(how, repo=repo) or str(folder)
    )
    assert load("hf:org/name@v2").name == "hf:org/name@v2"
    assert (asked["repo"], asked["revision"]) == ("org/name", "v2")


def test_endpoints_keep_the_name_they_were_called_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    for name in ("http://localhost:8000/v1#tiny", "openai:gpt", "anthropic:claude", "planted:calibrated?a=0.5&b=0.6"):
        model = load(name)
        assert model.name == name
        asyncio.run(model.close())


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("brok", UsageError, "no model is called 'brok'; did you mean 'brook'?"),
        ("hff:x", UsageError, "no model is called 'hff:x'; did you mean 'hf:'?"),
        ("hf:", UsageError, "says nothing after the colon"),
        ("http://localhost:1/v1", UsageError, "does not say which model; write http://localhost:1/v1#NAME"),
        ("hf:./no/such/place", ModelError, "there is no folder './no/such/place'"),
        ("run:none", UsageError, "no run is called 'none'"),
        ("planted:nobody", UsageError, "no planted model is called 'nobody'"),
        ("planted:calibrated?a", UsageError, "'a' is no list of parameters"),
    ],
)
def test_names_that_lead_nowhere(name: str, kind: type[GnomonError], said: str) -> None:
    with pytest.raises(kind) as caught:
        load(name)
    assert said in str(caught.value)


def test_devices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no device 'tpu'"):
        load(f"hf:{folder}", device="tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("GNOMON_DEVICE", "cuda:0")
    with pytest.raises(UsageError, match="device 'cuda:0' is not available"):
        load(f"hf:{folder}")


@pytest.mark.parametrize(
    ("file", "text", "said"), [("config.json", None, "no model is here"), ("config.json", "{", "not valid JSON")]
)
def test_a_folder_that_holds_no_model(folder: Path, file: str, text: str | None, said: str) -> None:
    (folder / file).unlink() if text is None else (folder / file).write_text(text)
    with pytest.raises(ModelError, match=said):
        load(f"hf:{folder}")


def test_nothing_heavy_is_imported_for_a_planted_model() -> None:
    code = "import sys, gnomon.models.load as l; l.load('planted:calibrated'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture(scope="module", params=["opt", "bloom", "mamba"])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Three architectures that are not ours: learned positions, attention biases, no attention at all."""
    import transformers as t

    size = PLAIN.vocab_size
    config = {
        "opt": lambda: t.OPTConfig(
            vocab_size=size, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=128, word_embed_proj_dim=32,
        ),
        "bloom": lambda: t.BloomConfig(vocab_size=size, hidden_size=32, n_layer=2, n_head=4),
        "mamba": lambda: t.MambaConfig(vocab_size=size, hidden_size=32, num_hidden_layers=2, state_size=4),
    }[request.param]()  # fmt: skip
    torch.manual_seed(0)
    net = t.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for p in net.parameters():
            if p.ndim == 2:
                p.mul_(4)
    folder = tmp_path_factory.mktemp(request.param)
    net.save_pretrained(folder)
    PLAIN.save(folder)
    model = load(f"hf:{folder}")
    assert isinstance(model, LocalModel) and Ability.GRADIENTS not in model.can
    return model


def test_other_architectures_score_and_choose(foreign: LocalModel) -> None:
    prompts = ["The old mill", "The old mill stands by the river", "Question: who owns the mill? Answer:"]
    scores = together(*(foreign.score(p, " of the man") for p in prompts))
    for prompt, score in zip(prompts, scores, strict=True):
        whole = PLAIN.encode(prompt + " of the man")
        assert score.logprobs == pytest.approx(logp(foreign, whole, len(PLAIN.encode(prompt))), abs=1e-4)
    [choice] = together(foreign.choose(prompts[2], [" (A)", " (B)"]))
    assert sum(choice.p) == pytest.approx(1)


def test_other_architectures_decode(foreign: LocalModel) -> None:
    prompts = ["The old mill", "The old mill stands by the river"]
    greedy = Sampling(max_tokens=6, temperature=0)
    found = together(*(foreign.sample(p, greedy, 2) for p in prompts))
    for prompt, pair in zip(prompts, found, strict=True):
        ids = PLAIN.encode(prompt)
        for _ in range(pair[0].num_tokens):
            with torch.no_grad():
                ids.append(int(foreign.net(torch.tensor([ids]))[0, -1].argmax()))
        assert pair[0].text == pair[1].text == PLAIN.decode(ids)[len(prompt) :]


def test_an_architecture_that_nobody_knows(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "abacus", "architectures": ["Abacus"]}))
    with pytest.raises(ModelError, match="neither our decoder nor transformers"):
        load(f"hf:{folder}")


def test_transformers_loads_the_model_that_ships_and_says_the_same() -> None:
    hf = pytest.importorskip("transformers")
    ours = load("brook")
    assert isinstance(ours, LocalModel)
    folder = str(files("gnomon").joinpath("data", "worlds", "brook", "checkpoint"))
    theirs = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    text = "Question: where does renbo live ? Choices: (A) barn (B) mill Answer: (B) Problem: 3 + 2 Answer: 5"
    tokens_BT = torch.tensor([world().vocabulary.encode(text, bos=True)])
    with torch.no_grad():
        logits_BTV, reference_BTV = ours.net(tokens_BT), theirs(tokens_BT).logits
    # Single precision gives six digits of logits that reach 20.
    assert float((logits_BTV - reference_BTV).abs().max() / reference_BTV.abs().max()) < 1e-5
