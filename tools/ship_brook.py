"""Puts the model of a training run into the package as `brook`, with the ranges that its check table reached.

    gnomon train pretrain --model-size m --seed 0 --bf16
    python tools/ship_brook.py runs/train-pretrain-ID

Weights are kept in half precision; the ranges are those of the weights as shipped.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch

import gnomon
from gnomon.assay.brook import pinned
from gnomon.models.families import load_folder, save_folder

PLACE = Path(gnomon.__file__).parent / "data" / "worlds" / "brook" / "checkpoint"
COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "recipe.json")


def main(run: Path) -> None:
    """Copies, asks the check table, and pins what it says."""
    made = run / "checkpoint"
    save_folder(load_folder(made), PLACE, dtype=torch.float16)
    for name in COPIED:
        shutil.copyfile(made / name, PLACE / name)
    (PLACE / "model.safetensors").chmod(0o644)
    (PLACE / "shipped.json").unlink(missing_ok=True)
    ranges = pinned(gnomon.assay("brook", model="brook"))
    (PLACE / "shipped.json").write_text(json.dumps(ranges, indent=1) + "\n", encoding="utf-8")
    print(f"{len(ranges)} rows pinned in {PLACE / 'shipped.json'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
