"""What tests of single modules share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of Brook's vocabulary that has learnt nothing yet; nobody writes to its folder."""
    from gnomon.data.worlds.brook.tables import world
    from gnomon.models.families import save_folder
    from gnomon.train._text import Special
    from gnomon.train.pretrain import Pretrain, new_model

    folder, words = tmp_path_factory.mktemp("tiny"), world().vocabulary
    special = Special(len(words), words.ids["<bos>"], words.ids["<eos>"], words.ids["<pad>"])
    words.save(folder)
    save_folder(new_model(Pretrain(model_size="xs"), special), folder)
    return f"hf:{folder}"
