"""Puts the model of a training run into the package.

    gnomon train pretrain --model-size m --seed 0 --bf16
    python tools/ship_brook.py brook runs/train-pretrain-ID           with the ranges that its check table reached
    gnomon train sft
    python tools/ship_brook.py brook-assistant runs/train-sft-ID

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

WORLD = Path(gnomon.__file__).parent / "data" / "worlds" / "brook"
PLACES = {"brook": WORLD / "checkpoint", "brook-assistant": WORLD / "assistant"}


def main(name: str, run: Path) -> None:
    """Copies; of the base model also asks the check table, and pins what it says."""
    made, place = run / "checkpoint", PLACES[name]
    place.mkdir(exist_ok=True)
    save_folder(load_folder(made), place, dtype=torch.float16)
    for file in made.glob("*.json"):
        if file.name != "config.json":  # names the precision
            shutil.copyfile(file, place / file.name)
    (place / "model.safetensors").chmod(0o644)
    if name == "brook":
        (place / "shipped.json").unlink(missing_ok=True)
        ranges = pinned(gnomon.assay("brook", model="brook"))
        (place / "shipped.json").write_text(json.dumps(ranges, indent=1) + "\n", encoding="utf-8")
        print(f"{len(ranges)} rows pinned in {place / 'shipped.json'}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
