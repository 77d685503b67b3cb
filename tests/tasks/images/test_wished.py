"""Tasks of pictures and attacks by their names: real transformers models of a few hundred numbers."""

import json

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTForImageClassification

from penjing.core import Measurement, Subject
from penjing.data.images import from_arrays
from penjing.errors import DataError
from penjing.pipeline.battery import examine, swept
from penjing.pipeline.cka_figure import Likeness
from penjing.running.stock import load
from penjing.tasks.images.labelled import outputs_of
from penjing.tasks.reading import read_tasks

SHAPE = {
    "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16,
    "patch_size": 8,
}  # fmt: skip
PREPARE = {
    "do_resize": True, "size": {"height": 16, "width": 16}, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3,
}  # fmt: skip
LABELS = {0: "tabby, tabby cat", 1: "Red_Fox", 2: "lorry"}


def saved(model, place):
    model.save_pretrained(place)
    (place / "preprocessor_config.json").write_text(json.dumps(PREPARE))
    return place


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    vit = ViTForImageClassification(ViTConfig(**SHAPE, id2label=LABELS, label2id={v: k for k, v in LABELS.items()}))
    body = Dinov2Model(Dinov2Config(**{k: v for k, v in SHAPE.items() if k != "intermediate_size"}))
    return saved(vit, root / "vit"), saved(body, root / "body")


def pictures(n=18, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pixels = rng.integers(0, 60, (n, 16, 16, 3))
    for i, label in enumerate(labels):
        pixels[i, :, :, label] += 150
    return pixels.astype(np.uint8), labels


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    names = np.array(["lorry", "tabby cat", "red fox"])
    for name, seed in (("train", 1), ("test", 2)):
        x, y = pictures(seed=seed)
        np.savez(root / f"{name}.npz", x=x, y=y, names=names)
    return root


def run(folder, task, cache):
    subject = Subject(name=folder.name, source=str(folder), figures=())
    return {f.name: f for f in examine([folder], [subject], [task], cache=cache)[0].figures}


def test_accuracy_matches_labels_by_name(folders, files, tmp_path):
    (task,) = read_tasks([f"images:{files / 'test.npz'}"])
    found = run(folders[0], task, tmp_path)
    assert task.name == "test"
    assert found["test"].n == 18
    assert found["test"].chance == pytest.approx(1 / 3)
    assert found["test"].items["label"] == [0, 1, 2] * 6
    assert sum(found["test:ece"].details["bins"]["count"]) == 18
    by_index = run(folders[0], read_tasks([f"images:{files / 'test.npz'},labels=index"])[0], tmp_path)
    order = [2, 0, 1]  # where lorry, cat and fox are among the model's outputs
    moved = [order[p] for p in found["test"].items["predicted"]]
    assert moved == by_index["test"].items["predicted"]


def test_corruptions_make_a_grid(folders, files, tmp_path):
    wish = f"corruptions:{files / 'test.npz'},kinds=fog+contrast,severities=1+5"
    (task,) = read_tasks([wish], limit=6)
    found = run(folders[0], task, tmp_path)["test-corrupted"]
    assert found.details["grid"]["names"] == ["fog", "contrast"]
    assert np.shape(found.details["grid"]["values"]) == (2, 2)
    assert found.n == 6


def test_a_backbone_without_head_is_judged_by_a_probe(folders, files, tmp_path):
    (task,) = read_tasks([f"probe:{files / 'train.npz'},{files / 'test.npz'}"])
    found = run(folders[1], task, tmp_path)
    assert found["test-probe"].value > 0.8
    assert "18 other pictures" in found["test-probe"].note
    bare = run(folders[1], read_tasks([f"images:{files / 'test.npz'},labels=index"])[0], tmp_path)
    assert bare["test"].value is None
    assert "probe" in bare["test"].note


def test_one_set_is_halved_for_a_probe(folders, files, tmp_path):
    (task,) = read_tasks([f"probe:{files / 'test.npz'}"])
    assert len(task.task.images) == len(task.training.images) == 9
    assert not set(task.task.images.ids) & set(task.training.images.ids)


def test_a_probe_is_not_judged_on_what_it_saw(files):
    with pytest.raises(DataError, match="18 pictures of"):
        read_tasks([f"probe:{files / 'test.npz'},{files / 'test.npz'}"])


@pytest.mark.parametrize(
    ("names", "wrong"),
    [(("lorry", "tabby", "vixen"), "'vixen'"), (("lorry", "tabby", "cat"), "'cat' is the name of outputs 1, 3")],
)
def test_labels_that_do_not_match_are_refused(names, wrong):
    images = from_arrays(*pictures(), names=names)
    with pytest.raises(DataError, match=wrong):
        outputs_of(images, {0: "tabby", 1: "cat, house cat", 2: "lorry", 3: "big cat, cat"}, "auto", "model")


def test_numbered_or_unnamed_labels_go_by_number():
    x, y = pictures()
    assert outputs_of(from_arrays(x, y), LABELS, "auto", "model") == ()
    assert outputs_of(from_arrays(x, y, names=("a", "b", "c")), {0: "LABEL_0", 1: "LABEL_1"}, "auto", "m") == ()
    numbered = from_arrays(x, y, names=("2", "0", "10"))
    assert outputs_of(numbered, LABELS, "auto", "model") == ((2,), (0,), (10,))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("images:{0},colour=red", "no setting 'colour'"),
        ("images:{0},labels=names", "did you mean 'name'"),
        ("corruptions:{0},severities=one", "severities is 'one'"),
        ("images:nothing.npz", "found nothing at nothing.npz"),
        ("images:", "names no data"),
        ("attack:deepwordbug", "needed attack:RECIPE:FILE"),
    ],
)
def test_what_cannot_be_read_is_told(wish, told, files):
    with pytest.raises(DataError, match=told):
        read_tasks([wish.format(files / "test.npz")])


def test_an_attack_refuses_labels_that_the_model_has_not(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a fine film", "label": 7}\n')
    (task,) = read_tasks([f"attack:misspellings:{path}"])
    assert task.name == "texts-misspellings"
    from penjing.tasks.task import Examined

    module = torch.nn.Linear(1, 1)
    module.config = ViTConfig(num_labels=2)
    with pytest.raises(DataError, match="'0' has label 7, model has 2 classes"):
        task.run(Examined(name="model", module=module))


def test_likeness_is_taken_on_pictures_or_withheld_by_name(folders, files):
    (task,) = read_tasks([f"images:{files / 'test.npz'}"])
    module = load(folders[0])
    found = Likeness({}, [task])
    assert found.serves
    second = found.of((module, module), folders[0], folders[0])
    assert second.value == pytest.approx(1.0)
    assert len(second.details["curve"]["y"]) == 2
    assert not Likeness({}).serves
    missing = Likeness({}).nothing()
    assert missing.value is None
    assert missing.note.startswith("withheld: there is neither a text")


def shares(size, value):
    right = [int(i < value * 100) for i in range(100)]
    return Subject(
        name=f"{size}",
        source="",
        figures=(
            Measurement(name="parameters", value=size, unit="parameters"),
            Measurement(
                name="task", value=sum(right) / 100, unit="share right", better="higher", n=100, chance=0.1,
                items={"id": list(range(100)), "correct": right},
            ),
        ),
    )  # fmt: skip


def test_models_of_different_sizes_are_judged_together():
    found = {f.name: f for f in swept([shares(100, 0.9), shares(80, 0.7), shares(50, 0.4)])}
    assert found["task_class"].details["class"] == "fragile"
    assert swept([shares(100, 0.9), shares(80, 0.7)]) == ()
    (same,) = swept([shares(100, 0.9), shares(100, 0.7), shares(50, 0.4)])
    assert same.name == "models_sweep"
    assert "2 sizes" in same.note
