"""Recordings in folders, in each of the ways that people keep them."""

import json

import numpy as np
import pytest
import torch

from penjing.data.sounds import read_sounds, read_wave
from penjing.errors import DataError


def wave(path, samples=160, rate=16_000, channels=1):
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((samples, channels), 0.25, dtype="float32"), rate)


def test_a_table_names_files_and_words(tmp_path):
    for name in ("b.wav", "a.wav"):
        wave(tmp_path / name)
    (tmp_path / "metadata.csv").write_text('file_name,speaker,transcription\nb.wav,1,"hello, you"\na.wav,2,yes\n')
    found = read_sounds(tmp_path)
    assert found.ids == ("b.wav", "a.wav")
    assert found.texts == ("hello, you", "yes")
    assert found.take(1, seed=3).texts in (("hello, you",), ("yes",))


def test_lines_of_json_serve_as_well(tmp_path):
    wave(tmp_path / "a.wav")
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.wav", "text": "yes"}) + "\n")
    assert read_sounds(tmp_path).texts == ("yes",)


def test_lists_as_librispeech_has_them(tmp_path):
    wave(tmp_path / "84" / "1" / "84-1-0000.flac")
    (tmp_path / "84" / "1" / "84-1.trans.txt").write_text("84-1-0000 GO FORWARD\n")
    found = read_sounds(tmp_path)
    assert found.texts == ("GO FORWARD",)
    assert found.ids == ("84/1/84-1-0000.flac",)


def test_words_beside_each_recording(tmp_path):
    wave(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("go\n")
    assert read_sounds(tmp_path).texts == ("go",)
    wave(tmp_path / "b.wav")
    with pytest.raises(DataError, match=r"b\.wav has no words beside it"):
        read_sounds(tmp_path)


def test_a_folder_for_each_class(tmp_path):
    for name in ("dog/1.wav", "cat/1.wav", "cat/2.wav"):
        wave(tmp_path / name)
    found = read_sounds(tmp_path)
    assert found.names == ("cat", "dog")
    assert found.labels == (0, 0, 1)


def test_the_digest_is_of_sound_and_words(tmp_path):
    wave(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("go")
    first = read_sounds(tmp_path).sha256
    (tmp_path / "a.txt").write_text("stay")
    second = read_sounds(tmp_path).sha256
    wave(tmp_path / "a.wav", samples=161)
    assert len({first, second, read_sounds(tmp_path).sha256}) == 3


def test_all_channels_are_averaged_and_the_rate_is_the_one_asked_for(tmp_path):
    import soundfile

    both = np.stack([np.full(800, 0.5), np.full(800, -0.1)], axis=1).astype("float32")
    soundfile.write(tmp_path / "a.wav", both, 8000)
    found = read_wave(tmp_path / "a.wav", 16_000)
    assert found.dtype == torch.float32
    assert len(found) == 1600
    torch.testing.assert_close(found[400:1200], torch.full((800,), 0.2), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file_name,words\na.wav,yes\n", "needed the columns file_name and transcription"),
        ("file_name,text\nb.wav,yes\n", "there is no file 'b.wav'"),
        ("file_name,text\n../secret.wav,yes\n", "leads out of the folder"),
    ],
)
def test_a_poor_table_is_refused_with_its_line(tmp_path, table, said):
    folder = tmp_path / "sounds"
    wave(folder / "a.wav")
    wave(tmp_path / "secret.wav")
    (folder / "metadata.csv").write_text(table)
    with pytest.raises(DataError, match=said) as caught:
        read_sounds(folder)
    assert "line 2" in str(caught.value)


def test_what_is_no_sound_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(DataError, match=r"a\.wav cannot be read as sound"):
        read_wave(tmp_path / "a.wav", 16_000)
    with pytest.raises(DataError, match="no folder"):
        read_sounds(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no recordings"):
        read_sounds(tmp_path / "empty")
