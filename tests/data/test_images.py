"""Images come in whole and named, or are refused with the file and place that is wrong."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from penjing.data.images import from_arrays, read_idx, read_images, read_npz
from penjing.errors import DataError, MissingExtraError


def arrays(n=6, size=(4, 5), channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *size, channels), dtype=np.uint8), np.arange(n) % 3


def idx(path, array, *, zipped=False, cut=0, more=b""):
    raw = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    raw = raw[: len(raw) - cut] + more
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    return path


def test_an_npz_gives_what_was_saved(tmp_path):
    x, y = arrays()
    np.savez_compressed(tmp_path / "a.npz", images=x, labels=y, names=np.array(["a", "b", "c"]))
    found = read_images(tmp_path / "a.npz")
    assert torch.equal(found.pixels[torch.arange(6)], torch.from_numpy(x))
    assert found.labels.tolist() == y.tolist()
    assert found.labels.dtype == torch.int64
    assert (found.names, found.classes, found.ids[:2], len(found)) == (("a", "b", "c"), 3, ("0", "1"), 6)


def test_labels_in_a_column_and_other_byte_orders_are_read(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(x), y=y.astype(">i2")[:, None])
    found = read_npz(tmp_path / "a.npz")
    assert torch.equal(found.pixels[torch.arange(6)], torch.from_numpy(x))
    assert found.labels.tolist() == y.tolist()


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_give_what_was_saved(tmp_path, zipped):
    x, y = arrays(channels=1)
    images = idx(tmp_path / "images", x[..., 0], zipped=zipped)
    labels = idx(tmp_path / "labels", y.astype(np.uint8), zipped=zipped)
    found = read_images(images, labels=labels)
    assert torch.equal(found.pixels[torch.arange(6)], torch.from_numpy(x))
    assert found.labels.tolist() == y.tolist()


def test_the_hash_follows_the_content():
    x, y = arrays()
    same, other = from_arrays(x, y).sha256, x.copy()
    other[3, 1, 2, 0] ^= 1
    assert from_arrays(x.copy(), y).sha256 == same
    assert len({same, from_arrays(other, y).sha256, from_arrays(x, y[::-1].copy()).sha256}) == 3


def test_taking_spreads_over_the_set_and_keeps_ids():
    images = from_arrays(*arrays(n=9))
    assert images.take(3).ids == ("0", "3", "6")
    drawn = images.take(4, seed=1)
    assert drawn.ids == images.take(4, seed=1).ids
    assert drawn.ids != images.take(4, seed=2).ids
    assert [int(i) % 3 for i in drawn.ids] == drawn.labels.tolist()
    assert torch.equal(drawn.pixels[torch.arange(4)], images.pixels[torch.tensor([int(i) for i in drawn.ids])])
    assert drawn.sha256 == images.sha256


def test_parts_are_disjoint():
    parts = from_arrays(*arrays(n=10)).split([0.5, 0.3], seed=0)
    assert [len(p) for p in parts] == [5, 3]
    assert len({i for p in parts for i in p.ids}) == 8


@pytest.mark.parametrize(
    ("shares", "said"), [([0.6, 0.6], "at most all"), ([0.01], "each needs one image"), ([], "needs one image")]
)
def test_parts_that_cannot_be_are_refused(shares, said):
    with pytest.raises(DataError, match=said):
        from_arrays(*arrays(n=10)).split(shares, seed=0)


def test_more_than_there_are_cannot_be_taken():
    with pytest.raises(DataError, match="7 images were asked for, memory has 6"):
        from_arrays(*arrays()).take(7)


@pytest.mark.parametrize(
    ("x", "y", "names", "said"),
    [
        (np.zeros((2, 4, 4, 3)), [0, 1], (), "float64, needed uint8"),
        (np.zeros((2, 4, 4, 2), np.uint8), [0, 1], (), r"\[2, 4, 4, 2\], needed \[n h w c\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), [], (), "needed"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1, 1], (), r"labels \[3\] for 2 images"),
        (np.zeros((2, 4, 4), np.uint8), [0, -1], (), "image 1 has label -1, needed 0 or more"),
        (np.zeros((2, 4, 4), np.uint8), [0, 2], ("a", "b"), "image 1 has label 2, needed from 0 to 1"),
        (np.zeros((2, 4, 4), np.uint8), [0.0, 1.0], (), "needed whole numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(x, y, names, said):
    with pytest.raises(DataError, match=said):
        from_arrays(x, y, names=names)


def test_a_large_label_makes_no_large_list():
    assert from_arrays(arrays()[0], [0, 1, 2, 3, 4, 10**12]).classes == 10**12 + 1


def test_an_npz_without_labels_names_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", x=arrays()[0], z=arrays()[1])
    with pytest.raises(DataError, match="holds x, z, needed 'y' or 'labels'"):
        read_npz(tmp_path / "a.npz")


def test_pickled_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object), y=np.zeros(1, int))
    with pytest.raises(DataError, match="arrays of objects are not read"):
        read_npz(tmp_path / "a.npz")


def member(shape, payload, dtype="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + payload


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(f"{name}.npy", raw)
    return path


def test_a_header_that_promises_too_much_is_refused_unread(tmp_path):
    path = zipped(tmp_path / "a.npz", x=member((10**6, 1000, 1000, 3), b""), y=member((1,), b"\0"))
    with pytest.raises(DataError, match="unpacks to 3,000,000,000,000 bytes, allowed are 4,294,967,296"):
        read_npz(path)


def test_a_bomb_is_not_unpacked_past_its_header(tmp_path):
    path = zipped(tmp_path / "a.npz", x=member((1, 4, 4), b"\0" * 50_000_000), y=member((1,), b"\0"))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"needs 16 bytes for .*, found more"):
        read_npz(path)


def test_a_cut_array_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", x=member((2, 4, 4), b"\0" * 20), y=member((2,), b"\0\0"))
    with pytest.raises(DataError, match=r"needs 32 bytes for .*, found 20"):
        read_npz(path)


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 nothing", b"\x93NUMPY"])
def test_what_is_no_archive_is_refused(tmp_path, raw):
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.npz cannot be read as an \.npz file"):
        read_npz(tmp_path / "a.npz")


def test_a_member_that_is_no_array_is_refused(tmp_path):
    with pytest.raises(DataError, match="'x' is not a plain array"):
        read_npz(zipped(tmp_path / "a.npz", x=b"hello, this is not an array at all", y=member((1,), b"\0")))


@pytest.mark.parametrize("zipped_too", [False, True])
@pytest.mark.parametrize(
    ("options", "said"),
    [({"cut": 3}, "120 bytes, and holds 117"), ({"more": b"\0"}, "holds more"), ({"cut": 130}, "within its header")],
)
def test_idx_files_of_another_length_are_refused(tmp_path, options, said, zipped_too):
    x, y = arrays(channels=1)
    images = idx(tmp_path / "images", x[..., 0], zipped=zipped_too, **options)
    with pytest.raises(DataError, match=said):
        read_idx(images, idx(tmp_path / "labels", y.astype(np.uint8)))


def test_a_damaged_gzip_is_refused(tmp_path):
    images = idx(tmp_path / "images", arrays(channels=1)[0][..., 0], zipped=True)
    images.write_bytes(images.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged gzip"):
        read_idx(images, images)


def test_an_idx_header_that_promises_too_much_is_refused(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31))
    with pytest.raises(DataError, match="allowed are"):
        read_idx(path, path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"found nothing at .*missing"):
        read_images(tmp_path / "missing.npz")
    (tmp_path / "images").write_bytes(b"\0")
    with pytest.raises(DataError, match="name that one as `labels`"):
        read_images(tmp_path / "images")


@pytest.fixture
def folder(tmp_path):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    x, y = arrays(n=6, size=(9, 12))
    for i, (image, label) in enumerate(zip(x, y, strict=True)):
        (tmp_path / f"class-{label}").mkdir(exist_ok=True)
        pillow.fromarray(image).save(tmp_path / f"class-{label}" / f"{i}.png")
    return tmp_path


def test_a_folder_gives_each_class_its_images(folder):
    x, _y = arrays(n=6, size=(9, 12))
    found = read_images(folder)
    assert found.names == ("class-0", "class-1", "class-2")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.ids == tuple(f"class-{c}/{i}.png" for c, i in ((0, 0), (0, 3), (1, 1), (1, 4), (2, 2), (2, 5)))
    assert torch.equal(found.pixels[torch.tensor([1, 4])], torch.from_numpy(x[[3, 2]]))
    assert found.take(3).pixels[torch.tensor([2])].shape == (1, 9, 12, 3)


def test_a_folder_of_several_sizes_needs_one(folder):
    pillow = pytest.importorskip("PIL.Image")
    pillow.new("L", (30, 20), 7).save(folder / "class-2" / "odd.png")
    with pytest.raises(DataError, match=r"odd\.png is 30 x 20 pixels, .* name a size"):
        read_images(folder)
    found = read_images(folder, size=6)
    assert found.pixels.shape == (7, 6, 6, 3)
    assert found.pixels[torch.tensor([6])].unique().tolist() == [7]


@pytest.mark.parametrize("raw", [b"", b"not an image", b"\x89PNG\r\n\x1a\n garbage"])
def test_an_unreadable_image_is_named(folder, raw):
    (folder / "class-1" / "bad.png").write_bytes(raw)
    with pytest.raises(DataError, match=r"bad\.png cannot be read as an image"):
        read_images(folder)


def test_an_image_cut_short_is_named_when_it_is_asked_for(folder):
    path = folder / "class-0" / "0.png"
    path.write_bytes(path.read_bytes()[:-120])
    found = read_images(folder)
    with pytest.raises(DataError, match=r"0\.png cannot be decoded"):
        found.pixels[torch.tensor([0])]


def test_other_files_are_refused_and_hidden_ones_left_out(folder):
    (folder / "class-1" / ".hidden").write_bytes(b"")
    assert len(read_images(folder)) == 6
    (folder / "class-1" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt is no image file"):
        read_images(folder)


def test_folders_without_classes_or_images_are_refused(tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    with pytest.raises(DataError, match="no sub-folders"):
        read_images(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="1 class folders and no image"):
        read_images(tmp_path)


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penjing\[images\]'"):
        read_images(tmp_path)


def test_labels_that_are_texts_are_refused_in_words():
    with pytest.raises(DataError, match="the labels are of type <U1, needed whole numbers"):
        from_arrays(np.zeros((3, 2, 2, 1), np.uint8), np.array(["a", "b", "c"]), source="made")
