"""A model asked for prompts: each trial shows it good ones, drawn anew, and keeps what it writes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.made import ALONE, AMONG, few_shot, good_prompts, repeats, why_not
from gnomon.models.base import Ability, Sampling, require
from gnomon.report.base import Estimate, Report
from gnomon.stats.intervals import proportion
from gnomon.trial import Cast, Planted, evaluation

__all__ = ["Written", "sifted"]


@evaluation
@dataclass(frozen=True, kw_only=True)
class Written:
    """What share of the prompts that a model writes can be used; the study of them is `gnomon study prompts`."""

    data: str = "brook"
    "Where good prompts come from."
    n: int = 1000
    "Prompts to write."
    shown: int = 10
    "Good ones shown."
    max_tokens: int = 64
    "Longest prompt."

    def items(self, seed: Seed) -> Iterator[Item]:
        """One item a prompt: the good ones that are shown before it."""
        good = good_prompts(self.data)
        for place in range(self.n):
            rng = seed.child("shown", place).random()
            shown = rng.sample(good.texts, min(self.shown, len(good.texts)))
            yield Item(id=f"made-{place}", meta={"shown": shown})

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Draws one prompt and says why it cannot be used, as far as it says so itself."""
        require(cast.subject, Ability.SAMPLE, why="writing prompts")
        good, shown = good_prompts(self.data), item.meta["shown"]
        how = Sampling(max_tokens=self.max_tokens, seed=rng.value, stop=good.stops)
        (drawn,) = await cast.subject.sample(few_shot(shown, good), how)
        text = drawn.text.strip()
        why = why_not(text, shown, good, ended=drawn.finish == "stop")
        evidence = {
            "text": text,
            "why": why,
            "asked": not good.new(text),
            "scores": {"usable by itself": float(not why)},
        }
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """Shares of what each filter takes, and of what is left."""
        whys = sifted(rows)
        alone = [why if why in ALONE else "" for why in whys]
        estimates = [
            Estimate.of("usable by itself", proportion([float(not why) for why in alone])),
            *(Estimate.of("dropped", proportion([float(why == name) for why in alone]), group=name) for name in ALONE),
            *(_counted("dropped", whys.count(name), len(rows), name) for name in AMONG),
            _counted("kept", whys.count(""), len(rows), ""),
        ]
        return Report(title=f"{len(rows)} prompts written", estimates=estimates)

    def planted(self) -> Iterable[Planted]:
        """Writers some of whose prompts cannot be used; one whose prompts all can."""
        config = {"data": "synthetic", "n": 100, "shown": 10}
        faults = {"copied": 0.1, "cut": 0.2, "length": 0.15, "language": 0.25}
        query = "&".join(f"{name}={share}" for name, share in faults.items())
        truth = {f"dropped [{name}]": share for name, share in faults.items()}
        truth["usable by itself"] = 1 - sum(faults.values())
        yield Planted(name="faulty", cast={"subject": f"planted:writer?{query}"}, truth=truth, config=config)
        none = {**dict.fromkeys(truth, 0.0), "usable by itself": 1.0, "kept": 1.0}
        yield Planted(name="null", cast={"subject": "planted:writer"}, truth=none, config=config, null=True)


def sifted(rows: Sequence[Row]) -> list[str]:
    """Why each prompt is not used, alone or beside those before it; "" where it is."""
    whys = [str(row.evidence["why"]) for row in rows]
    places = [place for place, why in enumerate(whys) if not why]
    for place, why in zip(places, repeats([str(rows[place].evidence["text"]) for place in places]), strict=True):
        whys[place] = why
    return whys


def _counted(metric: str, count: int, of: int, group: str) -> Estimate:
    reason = "no interval: the more are made, the more repeat an earlier one"
    return Estimate(metric=metric, value=count / of, n=of, group=group, reason=reason)
