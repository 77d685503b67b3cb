"""The options of healing; a part of the request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penjing.errors import RequestError
from penjing.healers import HEALERS
from penjing.pipeline.option import option, settle


@dataclass(frozen=True, kw_only=True)
class Heal:
    """How a pruned model is trained so that it does again what the original did; what it is trained on, and how long.

    `teacher` is for a model that was cut before: nothing is cut then. `loop` has the settings of the training loop.
    """

    method: str = option(
        "logits", f"The loss that is trained by, one of {', '.join(HEALERS.names())}.", flag="--heal-method",
        metavar="NAME",
    )  # fmt: skip
    teacher: str | None = option(
        None, "The model that MODEL was made from, to learn from.", flag="--teacher", metavar="BASE", kind="path"
    )
    minutes: float | None = option(
        None, "Train as many steps as fit into so many minutes.", flag="--heal-minutes", metavar="MINUTES"
    )
    tokens: int | None = option(
        None, "Train on so many tokens (or images), as 100K.", flag="--heal-tokens", kind="count", metavar="N"
    )
    texts: tuple[str, ...] = option(
        (), "Text to train on (.txt, .jsonl, a folder of save_to_disk), or datasets:NAME; may be repeated.",
        flag="--heal-text", metavar="PATH", kind="path", shown="the calibration text",
    )  # fmt: skip
    written: bool = option(
        False, "The teacher writes the text to train on, once, by the seed; for want of any.", flag="--heal-written"
    )
    images: tuple[str, ...] = option(
        (), "Images to train on: a folder, .npz or idx file; may be repeated.", flag="--heal-images", metavar="PATH",
        kind="path", shown="the calibration images",
    )  # fmt: skip
    length: int = option(256, "Tokens per row to train on.", flag="--heal-length", least=2)
    batch: int | None = option(
        None, "Rows, or images, that go through the model together.", flag="--heal-batch", least=1,
        shown="2 rows, 32 images",
    )  # fmt: skip
    learning_rate: float = option(2e-4, "The highest learning rate.", flag="--heal-learning-rate", metavar="RATE")
    lora: int | None = option(
        None, "Train additions of this rank beside the linear layers, and merge them.", flag="--heal-lora", least=1,
        metavar="RANK", shown="all weights",
    )  # fmt: skip
    embeddings: bool = option(False, "Train embeddings and head too, which else stay.", flag="--heal-embeddings")
    control: bool = option(
        False, "Also train the teacher on the same tokens, by sft, to compare; takes as long again.",
        flag="--heal-control",
    )  # fmt: skip
    settings: Mapping[str, Any] = option(
        {}, "A setting of that loss; may be repeated.", flag="--heal-set", metavar="NAME=VALUE"
    )
    loop: Mapping[str, Any] = option(
        {}, "A setting of the loop, as schedule=cosine; may be repeated.", flag="--heal-loop", metavar="NAME=VALUE"
    )

    def __post_init__(self) -> None:
        settle(self)
        if (self.minutes is None) == (self.tokens is None):
            found = "neither" if self.minutes is None else f"minutes {self.minutes:g} and tokens {self.tokens}"
            raise RequestError(f"healing takes minutes or tokens, one of the two; found {found}")
        if self.written and (self.texts or self.images):
            named = ", ".join(map(str, (*self.texts, *self.images)))
            raise RequestError(f"the teacher is to write the text, and {named} was named too; leave one of them out")
        for name in ("minutes", "tokens", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RequestError(f"{name} is {value:g}; needed more than 0")
