"""Someone who takes tests with a known chance of being right, in every form, with and without a text before.

Of every question it is drawn whether the right option wins by the summed log-probability, by the mean a token and by
the letter, and whether the last word and the free answer are right. With `common` an option's log-probability says
mostly how common the option is by itself, which the difference of the two takes away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.models.base import Ability, Choice, Completion, Prompt, Sampling, Score
from gnomon.models.planted.base import PlantedModel, planted
from gnomon.models.planted.reading import read

__all__ = ["Able"]

# A winner's and a loser's log-probability, and numbers of tokens that decide the mean whatever the sum is.
_SUMS, _TOKENS, _ALONE, _COMMON = (-10.0, -12.0), (20, 5), -11.0, 100.0
_CERTAIN = 0.97


@planted("able")
class Able(PlantedModel):
    """Right with probability `sum`, `mean`, `letter`, `word` or `answer`, each `gain` more after another text.

    `nats` is what a last word costs on average; `common` as in the module's text. Models of another `luck` draw
    independently of each other, and with `apart` so does one after another text.
    """

    can = frozenset({Ability.SCORE, Ability.SAMPLE, Ability.TOPK})

    def __init__(
        self,
        sum: float = 0.7,
        mean: float = 0.6,
        letter: float = 0.5,
        word: float = 0.6,
        answer: float = 0.55,
        nats: float = 2.0,
        gain: float = 0.0,
        common: float = 0.0,
        luck: int = 0,
        apart: int = 0,
    ) -> None:
        super().__init__()
        self.rates = {"sum": sum, "mean": mean, "letter": letter, "word": word, "answer": answer}
        self.nats, self.gain, self.common = nats, gain, common
        self.luck, self.apart = luck, apart
        self._by_text: dict[str, Item] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Learns the items by their question."""
        for item in items:
            self._by_text[item.question] = item

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Log-probabilities of an option or a last word after its question, or of an option after a bare mark."""
        text, said = self._text(prompt), continuation.strip()
        alone = _ALONE - self.common * _COMMON * self.draw("common", said).random().random()
        if text == "Answer:":
            return Score(logprobs=(alone,))
        item, before = self._asked(text)
        if not item.choices:
            # between half and one and a half times the mean
            return Score(logprobs=(-self.nats * (0.5 + self.draw("nats", item.question).random().random()),))
        if said not in item.choices:
            raise ModelError(f"{self.name} was offered {said!r}, which item {item.id} does not have")
        right = said == item.choices[item.gold or 0]
        total = _SUMS[self._right("sum", item, before) != right] + alone - _ALONE
        tokens = _TOKENS[self._right("mean", item, before) != right]
        return Score(logprobs=(total / tokens,) * tokens)

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Nearly all probability on one letter."""
        shown = read(prompt)
        item, before = self._asked(self._text(prompt))
        if sorted(shown.options.values()) != sorted(item.choices):
            raise ModelError(f"{self.name} was shown other options than item {item.id} has")
        gold = item.choices[item.gold or 0]
        texts = shown.texts(options)
        right = texts.index(gold)
        top = right if self._right("letter", item, before) else (right + 1) % len(texts)
        rest = (1 - _CERTAIN) / (len(texts) - 1)
        p = tuple(_CERTAIN if place == top else rest for place in range(len(texts)))
        return Choice(p=p, mass=0.98, readout="exact", low=p, high=p)

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """The accepted answer or another word."""
        item, before = self._asked(self._text(prompt))
        right = self._right("word" if item.meta.get("kind") == "cloze" else "answer", item, before)
        return [Completion(text=f" {item.answers[0] if right else 'nothing'}", finish="stop", num_tokens=1)] * n

    def _right(self, way: str, item: Item, before: bool) -> bool:
        """Whether it is right on `item`; one draw serves the question with and without a text before it."""
        u = self.draw(way, item.question, self.luck, int(before and self.apart > 0)).random().random()
        return u < self.rates[way] + self.gain * before

    def _asked(self, text: str) -> tuple[Item, bool]:
        """The item whose question stands last in `text`, and whether anything stands before it."""
        question, begins = text, 0
        if text.rstrip().endswith("Answer:"):
            question = read(text).question
            begins = text.rindex(f"Question: {question}")
        elif text not in self._by_text:
            question = text.rpartition("\n\n")[2]
            begins = len(text) - len(question)
        if question not in self._by_text:
            raise ModelError(f"{self.name} knows no item that asks {question[-80:]!r}")
        return self._by_text[question], begins > 0

    def _text(self, prompt: Prompt) -> str:
        if not isinstance(prompt, str):
            raise ModelError(f"{self.name} reads texts, not messages")
        return prompt
