"""Brook's truths: byte-identical corpora, exact exposure, whole documents, words, items, dialect."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.prompts import Shot
from gnomon.data.worlds.brook import COUNTS, KINDS, PRESETS, RELATIONS, Corpus, Phase, Vocabulary, dialect, world
from gnomon.data.worlds.brook.kinds import Kind, Reader, Writer
from gnomon.data.worlds.brook.ledger import Ledger, check_truths
from gnomon.data.worlds.brook.source import EXPOSURE, GROUPS, brook, items
from gnomon.data.worlds.brook.tables import Fact, Statement, World
from tests.pace import within

# Hash of the first 40 batches of the corpus of 400,000 tokens, preset S, seeds 0: a change here changes every corpus.
GOLDEN = "6fd9dfdc208c7c84"


@pytest.fixture(scope="module")
def small() -> Corpus:
    return Corpus.of(world(), tokens=400_000)


@pytest.fixture(scope="module")
def ledger(small: Corpus) -> Ledger:
    return Ledger.of(small)


def test_the_same_seed_gives_the_same_corpus_to_the_byte(small: Corpus) -> None:
    assert small.digest(40) == GOLDEN
    assert Corpus.of(world(), tokens=400_000, seed=1).digest(2) != small.digest(2)


def test_a_batch_depends_on_its_step_alone(small: Corpus) -> None:
    other = Corpus.of(world(), tokens=400_000)
    for step in (70, 3, 33, small.num_steps - 1):
        for a, b in zip(vars(small.batch(step)).values(), vars(other.batch(step)).values(), strict=True):
            assert np.array_equal(a, b)


def test_exposure_facts_have_their_planted_number_of_statements_and_no_question(ledger: Ledger) -> None:
    ledger.check()
    stated = Counter(len(ledger.documents(fact)) for fact in ledger.world.exposure_facts)
    assert stated == dict.fromkeys(COUNTS, 40)
    assert all(not ledger.documents(fact, "question") for fact in ledger.world.exposure_facts)
    assert all(ledger.documents(fact, "question") for fact in ledger.world.format_facts[:5])


def test_a_fact_stated_once_too_often_is_found(small: Corpus) -> None:
    fact = small.world.exposure_facts[0]
    kind = KINDS["exposure"]
    documents = [*small.documents()]
    extra = documents[0]._replace(id=7, kind="exposure", records=(Statement(fact, 0),))
    with pytest.raises(DataError, match=rf"fact {' '.join(fact)}.*wanted 1 statements.*got 2"):
        Ledger(small.world, [*documents, extra]).check()
    asked = extra._replace(kind="open", records=KINDS["open"].parse(small.world, _ask(fact)))
    with pytest.raises(DataError, match="1 other mentions"):
        Ledger(small.world, [*documents, asked]).check()
    assert kind.plan is not None


def _ask(fact: Fact) -> list[str]:
    return f"Question: {RELATIONS[fact.relation].ask(fact.name)} Answer: {fact.value}".split()


def test_exposure_statements_lie_evenly_over_the_run(small: Corpus, ledger: Ledger) -> None:
    often = [f for f in small.world.exposure_facts if small.world.counts[f.name, f.relation] == 256]
    for fact in often[:5]:
        segments = np.array([i >> 16 for i in ledger.documents(fact)])
        per_segment = np.bincount(segments, minlength=small.num_segments)
        assert per_segment.max() - per_segment[:-1].min() <= 6


def test_the_ledger_can_be_read_back(ledger: Ledger, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    ledger.save(tmp_path / "ledger.parquet")
    rows = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    once = next(f for f in ledger.world.exposure_facts if ledger.world.counts[f.name, f.relation] == 1)
    found = [r for r in rows if (r["name"], r["relation"]) == (once.name, once.relation)]
    assert len(found) == 1
    assert (found[0]["kind"], found[0]["use"], found[0]["count"]) == ("exposure", "statement", 1)
    assert found[0]["documents"] == ledger.documents(once)


def test_rows_hold_whole_documents_of_the_right_weights(small: Corpus) -> None:
    words = small.world.vocabulary.words
    rows, batch = small.rows(0), small.batch(0)
    for r in range(len(batch.tokens)):
        line = [w for d in rows[r] for w in ("<bos>", *d.text.words, "<eos>")]
        assert [words[i] for i in batch.tokens[r]] == line + ["<pad>"] * (256 - len(line))
        at = 0
        for document in rows[r]:
            weights = batch.weights[r, at + 1 : at + document.num_tokens]
            expected = np.full(len(weights), 1.0 if document.running else 0.1, dtype=np.float32)
            expected[document.text.keys] = 1
            assert batch.weights[r, at] == 0 and np.array_equal(weights, expected)
            at += document.num_tokens
        assert not batch.weights[r, at:].any()


def test_planted_distributions_sum_to_one_and_hold_the_drawn_token(small: Corpus) -> None:
    found = 0
    for step in range(40):
        batch = small.batch(step)
        flat = batch.tokens.reshape(-1)
        for place in np.unique(batch.soft_at):
            mine = batch.soft_at == place
            assert batch.soft_p[mine].sum() == pytest.approx(1)
            assert flat[place] in batch.soft_tokens[mine]
            assert batch.weights.reshape(-1)[place] == 1
            found += 1
    assert found > 50


def test_shares_are_within_half_a_point() -> None:
    shares = {name: kind.share for name, kind in KINDS.items() if kind.share}
    corpus = Corpus(world=world(), tokens=2_000_000, seed=0, phases=(Phase(name="all", part=1.0, shares=shares),))
    got: Counter[str] = Counter()
    for document in itertools.chain.from_iterable(row for s in range(60) for row in corpus.rows(s)):
        got[document.kind] += document.num_tokens
    got.pop("exposure")
    for name, share in shares.items():
        assert 100 * got[name] / got.total() == pytest.approx(100 * share / sum(shares.values()), abs=0.75), name


def test_padding_is_below_three_percent(small: Corpus) -> None:
    assert np.mean([(small.batch(step).tokens == 0).mean() for step in range(64)]) < 0.03


def test_the_curriculum_starts_with_letters_and_ends_with_the_rest() -> None:
    corpus = Corpus.of(world(), tokens=4_000_000)
    names = [corpus.phase(s).name for s in range(corpus.num_segments)]
    assert list(dict.fromkeys(names)) == ["letters", "first", "hard", "rest"]
    assert names.count("first") / len(names) == pytest.approx(0.36, abs=0.02)


def test_ten_thousand_documents_are_read_back() -> None:
    of, each = world(), 10_000 // len(KINDS) + 1
    for kind in KINDS.values():
        rng = Seed(7).child(kind.name).random()
        for _ in range(each):
            records = kind.document(of, rng)
            assert kind.parse(of, kind.render(of, records).words) == records


def test_no_two_kinds_ask_the_same_words_with_different_truths() -> None:
    check_truths(world(), KINDS.values(), 1500, Seed(0))


def test_a_kind_that_contradicts_another_is_found() -> None:
    def write(of: World, record: tuple[str, ...], writer: Writer) -> None:
        writer.say("Problem: 3 + 2 Answer:")
        writer.key("9")

    def read(of: World, reader: Reader) -> tuple[str, ...]:
        raise AssertionError

    wrong = Kind(
        name="wrong",
        draw=lambda of, rng: (),
        write=write,
        read=read,
        key_tokens="",
        share=1,
        items=(1, 1),
        grammar="",
    )
    with pytest.raises(DataError, match=r"kinds 'steps' and 'wrong' ask the same words"):
        check_truths(world(), [KINDS["steps"], wrong], 3000, Seed(0))


@pytest.mark.parametrize("preset", PRESETS)
def test_names_are_disjoint_and_words_fit(preset: str) -> None:
    of = world(preset)
    names = [*of.format_names, *of.exposure_names, *of.novel_names, *of.people]
    assert len(names) == len(set(names))
    assert not set(names) & {value for r in RELATIONS.values() for value in r.values}
    real = [w for w in of.vocabulary.words if not w.startswith("<spare")]
    assert len(real) <= PRESETS[preset].vocabulary == len(of.vocabulary)


def test_counts_are_shared_or_separate_and_halves_are_disjoint() -> None:
    shared, separate = world("knowledge", 0, "shared"), world("knowledge")
    assert all(len({shared.counts[n, r] for r in RELATIONS}) == 1 for n in shared.exposure_names)
    assert all(len({separate.counts[n, r] for r in RELATIONS}) == 5 for n in separate.exposure_names)
    assert Counter(shared.counts.values()) == Counter(separate.counts.values()) == dict.fromkeys(COUNTS, 400)
    first, second = separate.halves()
    assert not set(first.counts) & set(second.counts)
    assert {**first.counts, **second.counts} == separate.counts


def test_the_knowledge_corpus_states_every_fact_as_often_as_planned() -> None:
    half, _ = world("knowledge").halves()
    Ledger.of(Corpus.of(half, tokens=800_000)).check()


def test_an_unknown_word_is_named_with_its_neighbours() -> None:
    with pytest.raises(DataError) as caught:
        world().vocabulary.encode("where does renbo liv ?", where="a prompt")
    assert str(caught.value) == "a prompt: 'liv' is not a word of Brook; the nearest are live, lives, like"


def test_refused_corpora() -> None:
    with pytest.raises(UsageError, match=r"no kind is called 'opne'.*did you mean 'open'"):
        Corpus(world=world(), tokens=10**6, seed=0, phases=(Phase(name="x", part=1.0, shares={"opne": 1}),))
    with pytest.raises(UsageError, match="the share of open is -1"):
        Corpus(world=world(), tokens=10**6, seed=0, phases=(Phase(name="x", part=1.0, shares={"open": -1}),))
    with pytest.raises(DataError, match="tokens of exact documents do not fit a corpus of 50000"):
        Corpus.of(world(), tokens=50_000)
    with pytest.raises(UsageError, match="is not one of"):
        Corpus.of(world(), tokens=400_000).batch(800)
    with pytest.raises(UsageError, match="no preset of Brook is called 'Z'"):
        world("Z")
    with pytest.raises(DataError, match="fit a vocabulary of 2"):
        Vocabulary(["a", "b", "c"], 2)


def test_transformers_reads_the_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    vocabulary = world().vocabulary
    vocabulary.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "Question: where does renbo live ? Choices: (A) barn (B) mill Answer: (B)"
    assert theirs(text)["input_ids"] == vocabulary.encode(text, bos=True)
    assert theirs.decode(vocabulary.encode(text)) == text == vocabulary.decode(vocabulary.encode(text))
    turns = [{"role": "user", "content": "where does renbo live ?"}, {"role": "assistant", "content": "mill"}]
    assert theirs.apply_chat_template(turns, tokenize=False) == "<bos> Human: where does renbo live ? Assistant: mill"
    with pytest.raises(Exception, match="UNK"):
        theirs("zebra")


def test_items_are_in_proportion_and_prefixes_of_one_another() -> None:
    few, many = (items({"format": 2, "novel": 1, "sum-2": 1}, n, Seed(4)) for n in (40, 400))
    assert many[:40] == few
    assert Counter(i.meta["group"] for i in many) == {"format": 200, "novel": 100, "sum-2": 100}
    assert len({i.id for i in many}) == 400
    with pytest.raises(UsageError, match="no group of Brook's items is called 'exposure-5'"):
        items({"exposure-5": 1}, 1, Seed(0))


def test_items_say_the_truth() -> None:
    of = world()
    for item in items(dict.fromkeys(GROUPS, 1.0), 600, Seed(1)):
        group = item.meta["group"]
        if group.startswith("sum"):
            assert item.meta["steps"][-1].split()[-2] == item.answers[0]
            assert len(item.meta["steps"]) == int(group[-1])
            continue
        assert item.gold is not None and item.choices[item.gold] == item.answers[0] == item.meta["value"]
        assert len(set(item.choices)) == 4
        if group not in ("novel", "note"):
            assert of.facts[item.meta["name"], item.meta["relation"]] == item.answers[0]
        assert item.meta["count"] == (int(group.split("-")[1]) if group in EXPOSURE else None)
        assert (item.note == item.meta["sentence"]) == (group == "note")


def test_a_group_without_end_asks_every_fact_before_any_again() -> None:
    found = items({"exposure-64": 1}, 80, Seed(0))
    assert len({i.cluster for i in found[:40]}) == len({i.cluster for i in found[40:]}) == 40


def test_prompts_follow_the_grammar_of_the_documents() -> None:
    of = world()
    for item in brook(60, Seed(2)).items:
        letter = dialect.letters(4)[item.gold or 0]
        pairs = [
            ("choice", dialect.choice_prompt(item) + letter),
            ("open", dialect.open_prompt(item) + f" {item.answers[0]}"),
            ("verdict", dialect.verdict_prompt(item, item.choices[0]) + dialect.verdicts()[item.gold != 0]),
        ]
        for kind, text in pairs:
            assert len(KINDS[kind].parse(of, text.split())) == 1
        of.vocabulary.encode(dialect.listed_prompt(item))
        shots = dialect.header([Shot(dialect.choice_prompt(item), letter)] * 2)
        assert len(KINDS["choice"].parse(of, (shots + pairs[0][1]).split())) == 3
    sums = items({"sum-3": 1}, 5, Seed(2))
    for item in sums:
        steps = " ".join(item.meta["steps"])
        assert (
            len(KINDS["steps"].parse(of, f"{dialect.steps_prompt(item)} {steps} Answer: {item.answers[0]}".split()))
            == 1
        )
        assert dialect.open_prompt(item) == f"Problem: {item.question} Answer:"
    with pytest.raises(UsageError, match="no words for a confidence"):
        dialect.confidence_prompt(sums[0])


def test_generation_is_fast_enough() -> None:
    corpus = Corpus.of(world(), tokens=2_000_000)
    corpus.batch(0)
    # half of the goal of 0.5M tokens a second, so that a loaded machine does not fail it
    with within(4 * 32 * 1024 / 250_000):
        for step in range(32, 160, 32):
            corpus.batch(step)
