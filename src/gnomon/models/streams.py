"""One stream of tokens being decoded: its text so far, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gnomon.models.base import Completion, Sampling
from gnomon.models.draws import uniforms
from gnomon.models.prefix import Tokens
from gnomon.models.tokenizer import Tokenizer

__all__ = ["Job", "Stream", "answer_text"]

# Tokens of the prompt that a completion's text is decoded behind, so that its first token keeps its space.
_SEAM_TOKENS = 4


def answer_text(tokenizer: Tokenizer, prompt: Sequence[int], tokens: Sequence[int]) -> tuple[str, bool]:
    """The text of an answer that another engine drew, as `Stream` would give it, and whether it ended by itself.

    Args:
        prompt: tokens before it.
        tokens: its own, the one that ends it included where there is one.
    """
    ended = bool(tokens) and tokens[-1] in tokenizer.eos_ids
    stream = tokenizer.stream(after=prompt[-_SEAM_TOKENS:])
    stream.extend(tokens[:-1] if ended else tokens)
    stream.finish()
    return stream.text, ended


@dataclass(eq=False, kw_only=True)
class Job:
    """One `sample` call.

    Attributes:
        prompt: its tokens, one or more.
        how: limits, stops, seed.
        n: streams wanted.
        room: new tokens that fit into the context.
        deliver: called with the completions, in order of streams.
        say: called with each piece of text; None when nobody listens.
        waiting: whether somebody still wants the completions.
    """

    prompt: Tokens
    how: Sampling
    n: int
    room: int
    deliver: Callable[[list[Completion]], None]
    say: Callable[[str], None] | None = None
    waiting: Callable[[], bool] = lambda: True
    done: dict[int, Completion] = field(default_factory=dict)

    @property
    def limit(self) -> int:
        """New tokens a stream may have."""
        return min(self.how.max_tokens, self.room)

    def finish(self, number: int, completion: Completion) -> None:
        """Takes one stream's completion; delivers when it is the last."""
        self.done[number] = completion
        if len(self.done) == self.n:
            self.deliver([self.done[i] for i in range(self.n)])


class Stream:
    """Stream `number` of a job."""

    def __init__(self, job: Job, number: int, tokenizer: Tokenizer) -> None:
        """A stream without tokens yet.

        Args:
            job: the call it belongs to.
            number: 0 … n - 1.
            tokenizer: turns its tokens into text and knows which end it.
        """
        self.job, self.number = job, number
        self._limit = job.limit
        self.uniforms: list[float] = uniforms(job.how.seed, job.prompt, number, self._limit).tolist()
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.is_done = False
        self._ends = tokenizer.eos_ids
        self._text = tokenizer.stream(stop=job.how.stop, after=job.prompt[-_SEAM_TOKENS:].tolist())
        self._is_read = bool(job.how.stop or job.say)

    def take(self, token: int, logprob: float) -> bool:
        """Appends a token; returns whether the stream is done, in which case its completion has been handed in."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if token in self._ends:
            return self._finish("stop")
        if self._is_read:
            self._say(self._text.push(token))
            if self._text.stopped:
                return self._finish("stop")
        if len(self.tokens) == self._limit:
            return self._finish("length", whole=True)
        return False

    def _finish(self, finish: str, *, whole: bool = False) -> bool:
        """Hands in the completion; `whole` when the last token is part of the text."""
        self.is_done = True
        if not self._is_read:
            self._text.extend(self.tokens if whole else self.tokens[:-1])
        self._say(self._text.finish())
        completion = Completion(
            text=self._text.text,
            finish="stop" if self._text.stopped else finish,
            num_tokens=len(self.tokens),
            logprob=sum(self.logprobs),
            tokens=tuple(self.tokens),
            logprobs=tuple(self.logprobs),
        )
        self.job.finish(self.number, completion)
        return True

    def _say(self, piece: str) -> None:
        if piece and self.job.say is not None:
            self.job.say(piece)
