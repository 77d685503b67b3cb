"""Photographs through a restorer: names, sizes, the page, and refusals before anything is written."""

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from penjing.cli import app
from penjing.errors import CheckpointError, DataError, DeviceError, OutputError, RequestError, UnsupportedError
from penjing.models import create
from penjing.pipeline.restoring import restore
from penjing.report.restored import DETAIL, most, restored_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("models") / "restorer"
    create("maxim", "tiny", initializer_range=0.3).save_pretrained(out)
    return out


@pytest.fixture
def photographs(tmp_path):
    place = tmp_path / "photographs"
    (place / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, shape in (("a.png", (5, 9, 3)), ("more/b c.jpg", (40, 23, 3)), ("grey.png", (12, 12))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(place / name)
    return place


def test_every_photograph_comes_back_in_its_size_and_beside_them_a_page(folder, photographs, tmp_path):
    seen = []
    found = restore(
        photographs, folder, tmp_path / "out", tile=16, overlap=4, page=restored_page,
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert [p.name for p in found.pictures] == ["a.png", "grey.png", "more/b c.png"]
    for one in found.pictures:
        with Image.open(tmp_path / "out" / one.name) as after, Image.open(one.source) as before:
            assert after.size == before.size
            assert after.mode == "RGB"
        assert one.change > 0
    assert [p.tiles for p in found.pictures] == [1, 1, 6]
    assert [p.apart is None for p in found.pictures] == [True, True, False]
    assert [step[1:] for step in seen if "b c" in step[0]] == [(n, 6) for n in range(1, 7)]
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<img") == 12
    assert 'href="more/b%20c.png"' in page
    assert "cut into tiles of 16 pixels that share 4" in page


def test_a_small_photograph_is_what_the_network_makes_of_it_padded(folder, photographs, tmp_path):
    found = restore(photographs / "a.png", folder, tmp_path / "out", tile=16, overlap=0)
    with Image.open(photographs / "a.png") as image:
        before = np.array(image)
    canvas = np.pad(before, ((1, 2), (1, 2), (0, 0)), mode="reflect")  # 5 x 9 in 8 x 12
    network = create("maxim", "tiny")
    network = type(network).from_pretrained(folder)
    with torch.no_grad():
        made = network(torch.from_numpy(canvas / np.float32(255)).permute(2, 0, 1)[None]).reconstruction
    want = made[0].permute(1, 2, 0).numpy()[1:6, 1:10].clip(0, 1) * 255
    with Image.open(found.folder / "a.png") as image:
        assert np.abs(np.array(image) - want).max() <= 0.51


def test_a_turned_photograph_is_turned_as_the_camera_says(folder, tmp_path):
    image = Image.fromarray(np.zeros((6, 10, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    found = restore(tmp_path / "turned.jpg", folder, tmp_path / "out", tile=16, overlap=0)
    assert (found.pictures[0].rows, found.pictures[0].columns) == (10, 6)


def test_what_cannot_be_done_is_refused_and_nothing_is_written(folder, photographs, tmp_path):
    other, broken, empty = tmp_path / "other", tmp_path / "broken", tmp_path / "empty"
    create("activator", "tiny").save_pretrained(other)
    empty.mkdir()
    broken.mkdir()
    (broken / "x.png").write_bytes(b"no picture")
    twins = tmp_path / "twins"
    twins.mkdir()
    for name in ("x.png", "x.bmp"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(twins / name)
    before = sorted(tmp_path.rglob("*"))
    usual = {"pictures": photographs, "model": folder, "out": tmp_path / "out"}
    for error, found, changed in (
        (UnsupportedError, "type 'activator', which restores no pictures", {"model": other}),
        (DataError, "holds no pictures", {"pictures": empty}),
        (DataError, "cannot be read as an image", {"pictures": broken}),
        (DataError, "would both become x.png", {"pictures": twins}),
        (RequestError, "needs a multiple of 4", {"tile": 18}),
        (RequestError, "choose 0 to 8", {"tile": 16, "overlap": 9}),
        (OutputError, "lies inside the input", {"out": photographs / "out"}),
        (OutputError, "exists and is not empty", {"out": photographs.parent}),
        (UnsupportedError, "holds no model, which", {"model": empty}),
        (DeviceError, "is no device", {"device": "abacus"}),
    ):
        with pytest.raises(error, match=found):
            restore(**{**usual, **changed})
        assert sorted(tmp_path.rglob("*")) == before


def test_a_network_that_fails_leaves_nothing(photographs, tmp_path):
    network = create("maxim", "tiny")
    torch.nn.init.constant_(network.stages[-1].heads[0].bias, float("nan"))
    network.save_pretrained(tmp_path / "model")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match="no finite number"):
        restore(photographs, tmp_path / "model", tmp_path / "out", tile=16, overlap=4)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_square_that_changed_most_is_found():
    before = np.zeros((300, 400, 3), np.uint8)
    after = before.copy()
    after[250:, 380:] = 9
    row, column = most(before, after)
    assert row <= 250 < row + DETAIL
    assert column <= 380 < column + DETAIL


def test_the_command_writes_and_says_where(folder, photographs, tmp_path):
    words = ["restore", str(photographs), "-o", str(tmp_path / "out"), "--model", str(folder), "--tile", "16"]
    done = CliRunner().invoke(app, [*words, "--overlap", "4"])
    assert done.exit_code == 0, done.output
    assert "grey.png" in done.stdout
    assert "index.html" in done.stdout.replace("\n", "")
