"""Tiny models of sound with their own feature extractors and tokenizers, and recordings of tones."""

import json
import math

import pytest
import torch

RATE = 16_000
LETTERS = "abcdefghij"


def tone(path, pitch, seconds=0.3, rate=RATE):
    import soundfile

    time = torch.arange(int(seconds * rate)) / rate
    soundfile.write(path, (0.3 * torch.sin(2 * math.pi * pitch * time)).numpy(), rate)


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """Six recordings with their words in a table; two of another rate, one in stereo."""
    import soundfile

    folder = tmp_path_factory.mktemp("spoken") / "spoken"
    folder.mkdir()
    rows = ["file_name,transcription"]
    for i in range(6):
        tone(folder / f"{i}.wav", 200 + 90 * i, rate=8000 if i in (1, 2) else RATE)
        rows.append(f"{i}.wav,{LETTERS[i]}{LETTERS[i + 1]} {LETTERS[i]}")
    stereo, _ = soundfile.read(folder / "5.wav", always_2d=True)
    soundfile.write(folder / "5.wav", stereo.repeat(2, axis=1), RATE)
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    """Three recordings of each of two classes."""
    folder = tmp_path_factory.mktemp("classes") / "tones"
    for name, pitch in (("high", 2000), ("low", 150)):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            tone(folder / name / f"{i}.wav", pitch + 20 * i)
    return folder


def _wav2vec(folder, kind, **settings):
    import transformers

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(LETTERS) + 3, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0, mask_time_prob=0.0,
        classifier_proj_size=8, **settings,
    )  # fmt: skip
    getattr(transformers, kind)(config).eval().save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=RATE, return_attention_mask=True).save_pretrained(folder)


@pytest.fixture(scope="session")
def ctc(tmp_path_factory):
    import transformers

    folder = tmp_path_factory.mktemp("ctc") / "ctc"
    _wav2vec(folder, "Wav2Vec2ForCTC")
    words = {"<pad>": 0, "|": 1, "<unk>": 2, **{c: i + 3 for i, c in enumerate(LETTERS)}}
    (folder / "vocab.json").write_text(json.dumps(words))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), pad_token="<pad>").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "classifier"
    _wav2vec(
        folder, "Wav2Vec2ForSequenceClassification", num_labels=2, id2label={0: "low", 1: "high"},
        label2id={"low": 0, "high": 1},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def whisper(tmp_path_factory):
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("whisper") / "whisper"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={"<s>": 0, "</s>": 1, **{c: i + 2 for i, c in enumerate(alphabet)}}, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(alphabet) + 2, num_mel_bins=8, d_model=16, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
        max_source_positions=50, max_target_positions=40, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        decoder_start_token_id=0, suppress_tokens=[], begin_suppress_tokens=[],
    )  # fmt: skip
    transformers.WhisperForConditionalGeneration(config).eval().save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    return folder
