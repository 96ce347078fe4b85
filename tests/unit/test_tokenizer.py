"""Ids equal the reference tokenizer's, conversations its template's, and streamed text the whole text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import tokenizers as tk
import transformers as hf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError, ModelError
from gnomon.models.base import Message
from gnomon.models.tokenizer import Tokenizer

_TEXTS = ["The gnomon casts a shadow.", "  two spaces\n\nand lines", "Ünïcødé 日本語 🜨 x", "", "<s> spelled out"]
_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "<|{{ m['role'] }}|>{{ m['content'] | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_TURNS = [Message("system", "Be brief."), Message("user", " Hello? ")]


def _trained(byte_level: bool) -> tk.Tokenizer:
    """A byte-pair tokenizer, GPT-2's kind or Llama's kind (spaces as ▁, rare letters as bytes)."""
    corpus = ["the gnomon casts a shadow on the dial and the hour is read from it two spaces and lines"] * 4
    backend = tk.Tokenizer(tk.models.BPE(byte_fallback=not byte_level, unk_token=None if byte_level else "<unk>"))
    specials = ["<s>", "</s>", "<unk>"]
    if byte_level:
        backend.pre_tokenizer = tk.pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = tk.decoders.ByteLevel()
        alphabet = tk.pre_tokenizers.ByteLevel.alphabet()
    else:
        backend.normalizer = tk.normalizers.Sequence([tk.normalizers.Prepend("▁"), tk.normalizers.Replace(" ", "▁")])
        backend.decoder = tk.decoders.Sequence(
            [
                tk.decoders.Replace("▁", " "),
                tk.decoders.ByteFallback(),
                tk.decoders.Fuse(),
                tk.decoders.Strip(" ", 1, 0),
            ]
        )
        alphabet = []
        specials += [f"<0x{value:02X}>" for value in range(256)]
    trainer = tk.trainers.BpeTrainer(vocab_size=600, special_tokens=specials, initial_alphabet=alphabet)
    backend.train_from_iterator(corpus, trainer)
    if not byte_level:
        backend = _bytes_not_special(backend)
        backend.post_processor = tk.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return backend


def _bytes_not_special(backend: tk.Tokenizer) -> tk.Tokenizer:
    parts = json.loads(backend.to_str())
    parts["added_tokens"] = parts["added_tokens"][:3]
    return tk.Tokenizer.from_str(json.dumps(parts))


@pytest.fixture(params=["byte-level", "byte-fallback"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder as a model would ship it."""
    special = {
        "bos_token": "<s>",
        "eos_token": {"__type": "AddedToken", "content": "</s>", "special": True},
        "unk_token": "<unk>",
    }
    _trained(request.param == "byte-level").save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": _TEMPLATE, **special}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def test_ids_equal_the_reference(folder: Path) -> None:
    ours, reference = Tokenizer.load(folder), hf.AutoTokenizer.from_pretrained(folder)
    assert ours.encode_batch(_TEXTS) == [reference(text)["input_ids"] for text in _TEXTS]
    assert [ours.encode(t, special=False) for t in _TEXTS] == [
        reference(text, add_special_tokens=False)["input_ids"] for text in _TEXTS
    ]
    assert (ours.bos_id, ours.eos_id, ours.vocab_size) == (0, 1, len(reference))


def test_decoding_undoes_encoding(folder: Path) -> None:
    ours = Tokenizer.load(folder)
    assert [ours.decode(ours.encode(text)) for text in _TEXTS[:4]] == _TEXTS[:4]
    assert ours.decode([1, 0]) == "" and ours.decode([1, 0], special=True).replace(" ", "") == "</s><s>"


@pytest.mark.parametrize("prefill", [None, "I say ", "", "e", "two\n\nlines  "])
def test_conversations_equal_the_reference(folder: Path, prefill: str | None) -> None:
    ours, reference = Tokenizer.load(folder), hf.AutoTokenizer.from_pretrained(folder)
    turns = [*_TURNS] if prefill is None else [*_TURNS, Message("assistant", prefill)]
    as_dicts = [turn._asdict() for turn in turns]
    if prefill is None:
        expected = reference.apply_chat_template(as_dicts, tokenize=False, add_generation_prompt=True)
    else:
        # The template trims what it writes, and a prefill is continued as it stands.
        shown = reference.apply_chat_template([*as_dicts[:-1]], tokenize=False, add_generation_prompt=True)
        expected = shown + prefill
    assert ours.chat(turns) == expected
    assert ours.encode_prompt(turns) == reference(expected, add_special_tokens=False)["input_ids"]


def test_template_file_goes_before_the_config(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages | length }}{% for m in messages %}{% break %}{% endfor %}")
    assert Tokenizer.load(folder).chat(_TURNS) == "2"


def test_refused_conversation(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"refused the conversation \(no tools\)"):
        Tokenizer.load(folder).chat([Message("tool", "x")])  # type: ignore[arg-type]  # a role that templates refuse


def test_a_template_cannot_reach_out(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(ModelError, match="refused the conversation"):
        Tokenizer.load(folder).chat(_TURNS)


def test_plain_wording_without_a_template() -> None:
    ours = Tokenizer(_trained(False), special={"bos_token": "<s>"})
    assert ours.chat(_TURNS[:1]) == "Be brief.\n\nAssistant:"
    text = "Be brief.\n\nHuman: Hi\n\nAssistant: Yes\n\nHuman: More\n\nAssistant: No"
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", " Yes"), ("user", "More"), ("assistant", "No")]
    assert ours.chat([Message(*turn) for turn in turns]) == text  # type: ignore[arg-type]  # roles widen to str
    assert ours.encode_prompt([Message("user", "Hi")])[0] == ours.bos_id


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30), seed=st.integers(0, 9))
def test_streamed_text_is_the_whole_text(folder: Path, text: str, seed: int) -> None:
    ours = _loaded(folder)
    ids = ours.encode(text, special=False)
    stream, cut = ours.stream(), random.Random(seed).randint(0, len(ids))
    pieces = [stream.push(token) for token in ids[:cut]]
    pieces.append(stream.finish())
    assert "".join(pieces) == stream.text
    whole = ours.decode(ids[:cut])
    # Cut inside a letter, the byte decoder spoils whole bytes before the cut too, which were shown already.
    assert stream.text == whole or "\ufffd" in whole


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text("ab\n.é", max_size=20), stop=st.lists(st.text("ab\n.é", min_size=1, max_size=4), max_size=3))
def test_nothing_of_a_stop_string_is_shown(folder: Path, text: str, stop: list[str]) -> None:
    ours = _loaded(folder)
    stream = ours.stream(stop=stop)
    shown = ""
    for token in ours.encode(text, special=False):
        shown += stream.push(token)
        assert stream.text.startswith(shown)
        if stream.stopped:
            break
    shown += stream.finish()
    whole = ours.decode(ours.encode(text, special=False))
    ends = [whole.find(s) for s in stop if s in whole]
    assert stream.stopped == bool(ends)
    assert shown == stream.text
    assert not any(s in shown for s in stop) and whole.startswith(shown)
    if not ends:
        assert shown == whole


def test_text_behind_a_prompt_keeps_its_space(folder: Path) -> None:
    ours = _loaded(folder)
    prompt, ids = ours.encode("the dial", special=False), ours.encode("the dial casts a shadow", special=False)
    assert ids[: len(prompt)] == prompt
    one, many = ours.stream(after=prompt), ours.stream(after=prompt[-2:])
    pieces = [one.push(token) for token in ids[len(prompt) :]]
    many.extend(ids[len(prompt) :])
    assert "".join(pieces) + one.finish() == many.finish() == " casts a shadow"


def test_the_earliest_stop_string_ends_the_text(folder: Path) -> None:
    ours = _loaded(folder)
    stream = ours.stream(stop=["w", "sh", "dow"])
    stream.extend(ours.encode("casts a shadow", special=False))
    assert stream.finish() == stream.text == "casts a " and stream.stopped


def test_stored_truncation_and_padding_are_ignored(folder: Path) -> None:
    texts = ["the gnomon casts a shadow on the dial", "the"]
    expected = Tokenizer.load(folder).encode_batch(texts)
    backend = tk.Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(3)
    backend.enable_padding(length=50)
    backend.save(str(folder / "tokenizer.json"))
    assert Tokenizer.load(folder).encode_batch(texts) == expected


def test_token_texts_make_up_the_text(folder: Path) -> None:
    ours = _loaded(folder)
    ids = ours.encode("the gnomon casts a shadow", special=False)
    assert "".join(ours.token_text(i) for i in ids).strip() == "the gnomon casts a shadow"
    assert ours.token_text(ids[-1]).endswith("w")


def test_saved_tokenizer_loads_everywhere(folder: Path, tmp_path: Path) -> None:
    ours = Tokenizer.load(folder)
    ours.save(tmp_path / "copy")
    again, reference = Tokenizer.load(tmp_path / "copy"), hf.AutoTokenizer.from_pretrained(tmp_path / "copy")
    assert again.encode_batch(_TEXTS) == ours.encode_batch(_TEXTS) == [reference(t)["input_ids"] for t in _TEXTS]
    assert (again.special, again.chat_template, again.eos_ids) == (ours.special, ours.chat_template, ours.eos_ids)
    assert reference.chat_template == _TEMPLATE


def test_end_ids_of_the_generation_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"eos_token_id": 9}')
    assert Tokenizer.load(folder).eos_ids == (1, 9)
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 8, 1]}')
    ours = Tokenizer.load(folder)
    assert ours.eos_ids == (1, 7, 8) and ours.pad_id == 1


def test_word_outside_a_closed_vocabulary() -> None:
    backend = tk.Tokenizer(tk.models.WordLevel({"a": 0}, unk_token="<unk>"))
    with pytest.raises(DataError, match="cannot be tokenized"):
        Tokenizer(backend).encode("b")


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        Tokenizer.load(tmp_path / "none")
    with pytest.raises(ModelError, match="no tokenizer can be loaded"):
        Tokenizer.load(tmp_path)
    hf.GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no tokenizer can be loaded"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a readable tokenizer"):
        Tokenizer.load(tmp_path)


_LOADED: dict[Path, Any] = {}


def _loaded(folder: Path) -> Tokenizer:
    return _LOADED.setdefault(folder, Tokenizer.load(folder))
