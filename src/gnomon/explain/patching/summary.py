"""Maps of what each site brings back; pure: rows in, a report out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import heatmap
from gnomon.report.words import number

if TYPE_CHECKING:
    from gnomon.explain.patching import Patching

__all__ = ["report"]

_METRIC = "recovered"
_NAMES = {
    "residual": "The residual stream before a layer",
    "attention": "What attention adds",
    "mlp": "What the MLP adds",
    "head": "One head, at all tokens",
}
# So many sites of each kind get estimates of their own; the maps have all.
_LISTED = 4


def report(cfg: Patching, rows: Sequence[Row]) -> Report:
    """The report on rows of `reading.read_sites`."""
    clean, corrupt, *sites = (row.evidence for row in rows)
    tokens = [_label(i, *both) for i, both in enumerate(zip(clean["tokens"], corrupt["tokens"], strict=True))]
    span = clean["difference"] - corrupt["difference"]
    back = [(site, (site["difference"] - corrupt["difference"]) / span) for site in sites]
    by_kind = {kind: [each for each in back if each[0]["kind"] == kind] for kind in _NAMES}
    best = {kind: sorted(each, key=lambda found: -abs(found[1]))[:_LISTED] for kind, each in by_kind.items() if each}
    cells = [[kind, _at(site, tokens), round(share, 3)] for kind, each in best.items() for site, share in each]
    return Report(
        title=f"{cfg.answer.strip()} or {cfg.wrong.strip()}?",
        summary=_summary(cfg, clean, corrupt, best, tokens),
        estimates=[
            Estimate(
                metric=f"{_METRIC}, {kind}",
                group=_at(each[0][0], tokens),
                value=each[0][1],
                n=1,
                clusters=1,
                headline=True,
                reason="one pair of texts",
            )
            for kind, each in best.items()
        ],
        figures=Drawn(lambda: [_map(kind, each, tokens) for kind, each in by_kind.items() if each]),
        tables=[Table(title="Most brought back", columns=("site", "where", _METRIC), rows=cells)],
        notes=[f"one pair of texts: {_METRIC} is exact for it, and says nothing of others"],
    )


def _summary(
    cfg: Patching,
    clean: Mapping[str, Any],
    corrupt: Mapping[str, Any],
    best: Mapping[str, Sequence[tuple[Mapping[str, Any], float]]],
    tokens: Sequence[str],
) -> str:
    answer, wrong = cfg.answer.strip(), cfg.wrong.strip()
    told = [
        f"The logit of {answer} is {number(clean['difference'], 2)} above that of {wrong} behind the clean text and "
        f"{number(corrupt['difference'], 2)} behind the corrupt one."
    ]
    site, share = best["head"][0]
    told.append(f"Of single heads {_at(site, tokens)} brings back most: {number(share, 2)} of the difference.")
    return " ".join(told)


def _label(position: int, clean: str, corrupt: str) -> str:
    """A token with its place; where the texts differ, both."""
    clean, corrupt = clean.strip(), corrupt.strip()
    return f"{position} {clean}" if clean == corrupt else f"{position} {clean}/{corrupt}"


def _at(site: Mapping[str, Any], tokens: Sequence[str]) -> str:
    if site["kind"] == "head":
        return f"{site['layer']}.{site['head']}"
    return f"layer {site['layer']}, token {tokens[site['position']]}"


def _map(kind: str, each: Sequence[tuple[Mapping[str, Any], float]], tokens: Sequence[str]) -> Figure:
    across = "head" if kind == "head" else "position"
    layers = sorted({site["layer"] for site, _ in each})
    columns = sorted({site[across] for site, _ in each})
    found = {(site["layer"], site[across]): share for site, share in each}
    values = [[found[layer, column] for column in columns] for layer in layers]
    names = [str(c) for c in columns] if kind == "head" else [tokens[c] for c in columns]
    caption = "Share of the difference between the two texts that comes back: 0 is the corrupt run, 1 the clean one."
    return heatmap(
        [str(layer) for layer in layers], names, values, title=_NAMES[kind], x=across, y="layer", diverging=True,
        legend=_METRIC, caption=caption,
    )  # fmt: skip
