"""Image accuracy: figures that can be counted by hand, records for every image, refusals that name the cause."""

import json
import math
from dataclasses import replace

import pytest
import torch
from tests.tasks.images.models import PLAIN, Net, images, stripes
from torch import nn

from penjing.errors import MeasureError
from penjing.tasks.images import ImageAccuracy, reliability
from penjing.tasks.images.accuracy import margins, rank, top
from penjing.tasks.task import Examined


def run(module, data=None, **options):
    task = ImageAccuracy(images=data or images(), **{"prepare": PLAIN, **options})
    return {m.name: m for m in task.run(Examined(name="net", module=module))}


@pytest.fixture(scope="module")
def net_figures():
    return run(Net().eval())


def test_accuracy_is_counted_and_has_its_error(net_figures):
    data, net = images(), Net().eval()
    logits = net(PLAIN(data.pixels[torch.arange(24)]))
    right = [int(row.argmax()) == y for row, y in zip(logits, data.labels.tolist(), strict=True)]
    main = net_figures["image_accuracy"]
    p = sum(right) / 24
    assert main.value == pytest.approx(p)
    assert main.spread == pytest.approx(math.sqrt(p * (1 - p) / 23))
    assert (main.n, main.chance, main.unit) == (24, 1 / 3, "share of images")
    assert main.items["correct"] == [int(r) for r in right]
    assert main.items["id"] == list(data.ids)
    assert main.items["label"] == data.labels.tolist()
    assert main.items["predicted"] == logits.argmax(1).tolist()
    assert main.items["score"] == pytest.approx(logits.softmax(1)[torch.arange(24), data.labels].tolist(), rel=1e-4)
    assert [m > 0 for m in main.items["margin"]] == right


def test_a_model_that_knows_is_right():
    assert run(stripes)["image_accuracy"].value == 1.0


def test_batches_and_training_mode_change_nothing(net_figures):
    net = Net().train()
    again = run(net, batch=5)
    assert net.training
    assert again["image_accuracy"].items["correct"] == net_figures["image_accuracy"].items["correct"]
    assert again["image_accuracy:nll"].value == pytest.approx(net_figures["image_accuracy:nll"].value, rel=1e-6)


def test_every_figure_is_there_and_is_json(net_figures):
    assert list(net_figures) == ["image_accuracy"] + [
        f"image_accuracy:{w}"
        for w in ("top5", "nll", "brier", "ece", "ece_adaptive", "ece_max", "ece_classwise", "temperature")
    ]
    for m in net_figures.values():
        assert m.protocol.startswith("image_accuracy/1 prepare=")
        assert "text=sha256:" in m.protocol
        json.dumps([m.value, m.spread, dict(m.items), dict(m.details)], allow_nan=False)
    assert net_figures["image_accuracy:nll"].value == pytest.approx(
        sum(net_figures["image_accuracy:nll"].items["loss"]) / 24
    )
    assert sum(net_figures["image_accuracy:ece"].details["bins"]["count"]) == 24


def test_five_of_three_classes_is_no_figure(net_figures):
    assert net_figures["image_accuracy:top5"].value is None
    assert "only 3 classes" in net_figures["image_accuracy:top5"].note


def test_top_five_counts_ties_by_class_number():
    logits = torch.zeros(7, 7, dtype=torch.float64)
    labels = torch.arange(7)
    assert rank(logits, labels).tolist() == list(range(7))
    found = top(logits, labels, tuple("abcdefg"), count=5, name="t", protocol="")
    assert (found.value, found.chance) == (5 / 7, 5 / 7)
    assert margins(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([2])).tolist() == [-1.0]


def test_the_temperature_is_fitted_on_some_images_and_judged_on_others():
    class Sure(nn.Module):
        def forward(self, x):
            return stripes(x) * 40

    data = images(200)
    noisy = replace(data, labels=torch.where(torch.arange(200) % 4 == 0, (data.labels + 1) % 3, data.labels))
    found = run(Sure(), noisy)["image_accuracy:temperature"]
    assert (found.n, found.details["fitted_on"]) == (160, 40)
    assert found.value > 2
    assert found.details["nll_after"] < found.details["nll_before"]
    assert found.details["ece_after"] < found.details["ece_before"]
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:40]
    logits = Sure()(PLAIN(noisy.pixels[order]))
    assert found.value == pytest.approx(reliability.temperature(logits, noisy.labels[order]), rel=1e-5)


def test_too_few_images_give_no_temperature():
    found = run(stripes, images(4))["image_accuracy:temperature"]
    assert found.value is None
    assert "too few" in found.note


def test_several_outputs_may_stand_for_a_class():
    def five(x):
        s = stripes(x)
        return torch.stack([s[:, 2], s[:, 0] - 1, s[:, 1], s[:, 0] - 1, torch.full_like(s[:, 0], 99.0)], dim=1)

    found = run(five, outputs=((1, 3), (2,), (0,)))["image_accuracy"]
    assert found.value == 1.0
    assert found.chance == 1 / 3
    assert "outputs=sha256:" in found.protocol


def test_the_key_follows_data_and_settings_not_the_batch():
    one = ImageAccuracy(images=images(), prepare=PLAIN)
    assert one.key() == replace(one, batch=3).key()
    others = [replace(one, images=images(seed=1)), replace(one, images=images().take(5)), replace(one, bins=10)]
    others += [replace(one, prepare=None), replace(one, seed=1), replace(one, outputs=((0,), (1,), (2,)))]
    assert len({one.key(), *(o.key() for o in others)}) == 7


def test_progress_ends_at_all():
    seen = []
    task = ImageAccuracy(images=images(), prepare=PLAIN, batch=10)
    task.run(Examined(name="net", module=stripes), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(10, 24), (20, 24), (24, 24)]


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (lambda x: torch.zeros(len(x), 2), {}, "2 outputs, the images have 3 classes"),
        (lambda x: x, {}, r"gave \[24, 1, 8, 8\] for 24 images"),
        (lambda x: torch.full((len(x), 3), math.nan), {}, "not finite"),
        (stripes, {"outputs": ((0,), (1,))}, "named for 2 of 3 classes"),
        (stripes, {"outputs": ((0,), (1,), (7,))}, "output 7 was named"),
        (stripes, {"prepare": None}, "net has no image processor"),
    ],
)
def test_models_that_cannot_be_measured_are_refused(module, options, said):
    with pytest.raises(MeasureError, match=said):
        run(module, **options)


def test_a_language_model_is_refused():
    net = Net()
    net.main_input_name = "input_ids"
    with pytest.raises(MeasureError, match="takes 'input_ids'"):
        run(net)


def test_a_transformers_classifier_is_measured_from_its_folder(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification

    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"do_resize": True, "size": {"height": 8, "width": 8}, "resample": 2, "do_rescale": True,
                    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    )  # fmt: skip
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        num_labels=3,
    )  # fmt: skip
    model = Examined(name="vit", module=ViTForImageClassification(config).eval(), folder=tmp_path)
    found = ImageAccuracy(images=images(6)).run(model)[0]
    assert found.n == 6
    assert "bilinear=8x8" in found.protocol
