"""Pixels are prepared as the image processor says, or the processor is refused."""

import json

import numpy as np
import pytest
import torch

from penjing.errors import MeasureError
from penjing.tasks.images import Preparation, from_processor
from penjing.tasks.images.preparation import preparation
from penjing.tasks.task import Examined

CONFIG = {
    "do_resize": True, "size": {"shortest_edge": 20}, "resample": 3, "do_center_crop": True,
    "crop_size": {"height": 16, "width": 14}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip


def pictures(n=2, height=30, width=41):
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_it_equals_the_steps_by_pillow():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    found = from_processor(CONFIG)(pictures())
    assert found.shape == (2, 3, 16, 14)
    for x, got in zip(pictures(), found, strict=True):
        small = image.fromarray(x.numpy()).resize((27, 20), image.Resampling.BICUBIC)
        cut = np.array(small)[2:18, 6:20].astype(np.float32) / 255
        expected = (cut - np.float32([0.5, 0.4, 0.3])) / np.float32([0.2, 0.3, 0.4])
        # Pillow rounds once more, between the two directions: a grey level, and rarely two.
        gap = (got.permute(1, 2, 0) - torch.from_numpy(expected)).abs() * 255 * torch.tensor([0.2, 0.3, 0.4])
        assert float(gap.max()) < 2.1
        assert float(gap.mean()) < 0.5


def test_nothing_asked_nothing_done():
    x = pictures()
    torch.testing.assert_close(Preparation()(x), x.permute(0, 3, 1, 2) / 255)
    centred = Preparation(scale=1.0, mean=(127.0,), std=(128.0,))(x)
    torch.testing.assert_close(centred[0, 0], (x[0, ..., 0] - 127.0) / 128)


def test_grey_becomes_colour_and_back():
    x = pictures()[..., :1]
    assert torch.equal(Preparation(channels=3)(x)[:, 2], Preparation()(x)[:, 0])
    assert Preparation(channels=1)(pictures()).shape == (2, 1, 30, 41)


def test_the_key_says_what_is_done():
    assert from_processor(CONFIG).key() == (
        "prepare=bicubic=20,crop=16x14,scale=0.00392157,mean=0.5/0.4/0.3,std=0.2/0.3/0.4,channels=3"
    )
    assert " " not in from_processor(CONFIG).key()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"do_pad": True}, "do_pad, which is not known"),
        ({"crop_pct": 0.9}, "crop_pct"),
        ({"resample": 1}, "method 1"),
        ({"size": {"longest_edge": 9}}, "needed shortest_edge"),
    ],
)
def test_processors_that_do_more_are_refused(more, said):
    with pytest.raises(MeasureError, match=said):
        from_processor({**CONFIG, **more})


def test_switched_off_steps_are_left_out():
    off = {k: False if k.startswith("do_") else v for k, v in CONFIG.items()}
    assert from_processor(off) == Preparation(scale=1.0)


def test_the_given_one_comes_before_the_models_own_and_the_folder(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CONFIG))
    model = Examined(name="m", module=None, folder=tmp_path)
    assert preparation(model, None) == from_processor(CONFIG)
    given = Preparation(resize=3)
    assert preparation(model, given) is given


@pytest.mark.parametrize("raw", ["{", "[]"])
def test_a_damaged_file_is_named(tmp_path, raw):
    (tmp_path / "preprocessor_config.json").write_text(raw)
    with pytest.raises(MeasureError, match=r"preprocessor_config\.json"):
        preparation(Examined(name="m", module=None, folder=tmp_path), None)


def test_a_cut_larger_than_the_image_is_refused():
    with pytest.raises(MeasureError, match="41 x 30 pixels before the cut, needed 50 x 50"):
        Preparation(crop=(50, 50))(pictures())
