import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from penjing.errors import CheckpointError
from penjing.io import carry_over, check_finite, not_finite, open_checkpoint

A, B = torch.randn(3, 4), torch.randn(5).bfloat16()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    save_file({"a": A}, place / "model-1.safetensors")
    save_file({"b": B}, place / "model-2.safetensors")
    index(place, {"a": "model-1.safetensors", "b": "model-2.safetensors"})
    (place / "config.json").write_text('{"hidden_size": 4}')
    return place


def index(place: Path, table: object) -> None:
    (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))


def test_shards_open_as_one(folder: Path) -> None:
    with open_checkpoint(folder) as opened:
        assert opened.config == {"hidden_size": 4}
        assert opened.shapes == {"a": (3, 4), "b": (5,)}
        assert opened.shards == (("a",), ("b",))
        assert torch.equal(opened["a"], A)
        assert torch.equal(opened.rows("a", 1, 3), A[1:3])
        assert opened["b"].dtype == torch.bfloat16
        span = opened.span("b")
        assert span
        assert span.path.read_bytes()[span.offset :][: span.length] == B.view(torch.uint8).numpy().tobytes()


def test_the_fingerprint_follows_weights_and_config(folder: Path) -> None:
    first = open_checkpoint(folder).fingerprint
    assert open_checkpoint(folder).fingerprint == first
    assert open_checkpoint(folder, config={}).fingerprint != first
    save_file({"b": B + 1}, folder / "model-2.safetensors")
    assert open_checkpoint(folder).fingerprint != first


def test_an_unknown_name_suggests_the_nearest(folder: Path) -> None:
    save_file({"mlp.up.weight": A}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"did you mean 'mlp\.up\.weight'"):
        open_checkpoint(folder)["mlp.op.weight"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"a": "model-1.safetensors", "b": "gone.safetensors"}, "1 of 2 files that are not in the folder"),
        ({"a": "../model-1.safetensors"}, "inside the folder"),
        ({"a": "/etc/passwd"}, "inside the folder"),
        ({"a": "model-1.safetensors\0"}, "inside the folder"),
        ({"a": 3}, "no 'weight_map'"),
        ([], "no 'weight_map'"),
        ({"a": "model-1.safetensors", "c": "model-2.safetensors"}, "disagree: 1 tensor such as 'c' is not there"),
        ({"b": "model-1.safetensors"}, "disagree"),
    ],
)
def test_a_bad_index_is_refused(folder: Path, table: object, reason: str) -> None:
    index(folder, table)
    with pytest.raises(CheckpointError, match=reason):
        open_checkpoint(folder)


def test_a_tensor_that_the_index_keeps_quiet_about_is_refused(folder: Path) -> None:
    save_file({"b": B, "c": B + 1}, folder / "model-2.safetensors")
    with pytest.raises(CheckpointError, match="'c' is not in the index"):
        open_checkpoint(folder)


def test_a_tensor_in_two_shards_is_refused(folder: Path) -> None:
    save_file({"a": A, "b": B}, folder / "model-2.safetensors")
    with pytest.raises(CheckpointError, match="holds 'a' twice"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["model-1.safetensors", "config.json", "tokenizer.json"])
def test_links_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside) if (folder / name).exists() else outside.write_text("secret")
    (folder / name).symlink_to(outside)
    with pytest.raises(CheckpointError, match="outside the folder"):
        open_checkpoint(folder)


def test_links_in_a_snapshot_of_the_hub_cache_are_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    home = folder.parent / "hub"
    snapshot = home / "models--o--n" / "snapshots" / "abc"
    blobs = home / "models--o--n" / "blobs"
    refs = home / "models--o--n" / "refs"
    for place in (snapshot, blobs, refs):
        place.mkdir(parents=True)
    (refs / "main").write_text("abc")
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(open_checkpoint("o/n")["a"], A)
    with pytest.raises(CheckpointError, match=r"no folder or file of the name 'o/other'.*cannot be reached"):
        open_checkpoint("o/other")
    (snapshot / "config.json").unlink()
    (home / "models--x").mkdir()
    (home / "models--x" / "config.json").write_text("{}")
    (snapshot / "config.json").symlink_to(home / "models--x" / "config.json")
    with pytest.raises(CheckpointError, match="outside the folder"):
        open_checkpoint(snapshot)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b'{"a": 1,\n "b" 2}', "line 2, column 6"), (b"\xff", "not UTF-8"), (b"[]", "a table was needed"), (b"", "line")],
)
def test_a_bad_config_is_refused_with_its_place(folder: Path, text: bytes, reason: str) -> None:
    (folder / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=reason):
        open_checkpoint(folder)


def test_side_files_are_carried_and_code_is_not(folder: Path) -> None:
    for name in ("tokenizer.json", "generation_config.json", "LICENSE", "README.md", "modeling_x.py", "optimizer.pt"):
        (folder / name).write_text("{}")
    names = carry_over(open_checkpoint(folder), folder.parent / "none")
    assert set(names) == {"tokenizer.json", "generation_config.json", "LICENSE", "SOURCE_README.md"}


def test_nothing_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights"):
        open_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no file or folder"):
        open_checkpoint(tmp_path / "none")
    (tmp_path / "x.txt").write_text("hello you all")
    with pytest.raises(CheckpointError, match="no kind of model file"):
        open_checkpoint(tmp_path / "x.txt")


def test_plain_torch_files_open(tmp_path: Path) -> None:
    held = {"epoch": 3, "state_dict": {"a": A.t(), "b": B, "c": None}}
    torch.save(held, tmp_path / "x.pt")
    opened = open_checkpoint(tmp_path / "x.pt")
    assert torch.equal(opened["a"], A.t())
    assert opened["a"].is_contiguous()
    assert opened.span("a") is None
    assert "epoch" in opened.notes[0]
    assert "c" in opened.notes[1]
    opened.close()
    with pytest.raises(CheckpointError, match="closed"):
        opened["a"]


def test_a_bin_folder_opens_and_tied_names_appear_once(tmp_path: Path) -> None:
    torch.save({"embed": A, "head": A, "b": B}, tmp_path / "pytorch_model.bin")
    opened = open_checkpoint(tmp_path)
    assert list(opened.shapes) == ["embed", "b"]
    assert opened.aliases == {"head": "embed"}
    assert list(open_checkpoint(tmp_path, config={"tie_word_embeddings": False}).shapes) == ["embed", "head", "b"]


class Evil:
    def __reduce__(self) -> tuple:
        return (print, ("executed",))


def test_pickles_that_need_code_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Evil()}, tmp_path / "new.pt")
    torch.save({"a": Evil()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "raw.pt").write_bytes(pickle.dumps({"a": Evil()}))
    (tmp_path / "cut.pt").write_bytes((tmp_path / "new.pt").read_bytes()[:200])
    (tmp_path / "junk.pt").write_bytes(b"junk" * 50)
    for name in ("new", "old", "raw", "cut", "junk"):
        with pytest.raises(CheckpointError, match="safetensors"):
            open_checkpoint(tmp_path / f"{name}.pt")
    assert "executed" not in capsys.readouterr().out


def test_a_module_opens_with_tied_parameters_once_and_stays_untouched() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    opened = open_checkpoint(module)
    assert opened.aliases == {"2.weight": "0.weight"}
    assert "1.running_mean" in opened.shapes
    before = opened.fingerprint
    opened["0.weight"].zero_()
    assert opened.fingerprint == before
    with torch.no_grad():
        module[0].bias += 1
    assert opened.fingerprint != before
    with pytest.raises(CheckpointError, match="on meta"):
        open_checkpoint(nn.Linear(2, 2, device="meta"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2, torch.complex64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_named(dtype: torch.dtype, value: float, tmp_path: Path) -> None:
    bad = torch.zeros(7, 3)
    bad[3, 1] = value
    save_file({"good": torch.ones(9), "bad": bad.to(dtype), "ids": torch.ones(2).int()}, tmp_path / "model.safetensors")
    opened = open_checkpoint(tmp_path)
    assert not_finite(opened) == ("bad",)
    check_finite(opened, ["good", "ids"])
    with pytest.raises(CheckpointError, match=r"1 tensor with weights that are NaN or infinite \(bad\)"):
        check_finite(opened)
