"""The card states what the source's card states, is read by the hub's own loader, and names no data set of its own."""

import json

import samples
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from samples import _m

from penjing.core import Measurement, Report, Subject
from penjing.report import base_of, card, headline, published, source_card

STATED = {
    "license": "other", "license_name": "own", "license_link": "LICENSE", "language": ["en", "de"],
    "pipeline_tag": "text-generation", "library_name": "transformers", "tags": ["small"],
}  # fmt: skip


def encoder(label="Likeness of features to the original (CKA)"):
    def subject(name, size, alike):
        figures = [Measurement(name="parameters", value=size, unit="parameters", label="Parameters", group="size")]
        if alike is not None:
            found = Measurement(name="cka", value=alike, unit="linear CKA", n=9, label=label, group="quality")
            figures.append(found)
        return Subject(name=name, source=name, figures=tuple(figures))

    return Report(title="t", subjects=(subject("encoder", 2e7, None), subject("smaller", 1e7, 0.9417)))


def test_the_headline_says_the_figure_that_only_the_smaller_model_has():
    assert headline(encoder()) == "50 % fewer parameters, likeness of features to the original (CKA) 0.942."
    assert "CKA 0.942" in headline(encoder(""))


def test_a_figure_that_the_original_lacks_is_said_with_that():
    original, smaller = samples.FULL.subjects
    bare = Subject(name="o", source="o", figures=tuple(f for f in original.figures if f.name != "perplexity"))
    said = headline(Report(title="t", subjects=(bare, smaller)))
    assert "perplexity 34.8 (the original: not measured)" in said


def test_what_the_source_states_is_carried_over():
    text = card(samples.FULL, base="them/big", source=STATED)
    data = ModelCard(text).data.to_dict()
    assert {k: data[k] for k in STATED if k != "tags"} == {k: v for k, v in STATED.items() if k != "tags"}
    assert data["tags"] == ["small", "penjing", "pruned"]
    assert data["base_model"] == "them/big"
    assert "licence was not stated" not in text


def test_a_licence_that_is_given_stands_in_place_of_the_sources():
    data = ModelCard(card(samples.FULL, licence="MIT", source=STATED)).data.to_dict()
    assert data["license"] == "mit"
    assert "license_link" not in data


def test_results_are_of_data_that_has_a_name():
    text = _m("perplexity", 21.7, "perplexity per token", details={"text": "war_and_peace"})
    figures = (text, _m("divergence", 0.1, "nats"), _m("agreement", 0.9, "share"), _m("arc:acc", 0.4, "accuracy"))
    report = Report(title="t", subjects=(Subject(name="a", source="a", figures=figures),) * 2)
    index = ModelCard(card(report)).data.to_dict()["model-index"]
    name, results = model_index_to_eval_results(index)
    assert name == "a"
    assert {(r.dataset_name, r.metric_type) for r in results} == {("war and peace", "perplexity"), ("arc", "acc")}


def test_a_card_that_cannot_be_read_states_nothing(tmp_path):
    for text in ("---\n{ broken\n---\n", "no front matter", "---\n- a list\n---\n"):
        (tmp_path / "README.md").write_text(text, encoding="utf-8")
        assert source_card(tmp_path / "README.md") == {}
    assert source_card(tmp_path / "none.md") == {}


def test_the_base_of_a_result_of_ours_is_the_base_of_what_is_made_of_it():
    assert base_of({"base_model": "them/big", "tags": ["penjing"]}) == "them/big"
    assert base_of({"base_model": "them/big", "tags": ["other"]}) is None


def test_a_report_that_is_given_away_has_names_and_no_folders(tmp_path):
    model, text = tmp_path / "mine" / "model", tmp_path / "mine" / "text.txt"
    one = Subject(name="model", source=str(model), figures=(_m("x", None, "", note=f"{text} is short"),))
    report = Report(
        title="t", subjects=(one,), notes=(f"read {text}",),
        provenance={"command": f"penjing shrink {model} --text {text}", "files": [str(text)]},
    )  # fmt: skip
    given = published(report, [text])
    assert given.subjects[0].source == "model"
    assert given.provenance == {"command": "penjing shrink model --text text.txt", "files": ["text.txt"]}
    assert str(tmp_path) not in json.dumps([given.notes, given.subjects[0].figures[0].note])


def test_figures_of_recordings_and_pictures_have_the_words_of_hubs():
    def quality(name, value, unit):
        return Measurement(name=name, value=value, unit=unit, group="quality")

    figures = (
        quality("held", 0.1, "errors per word"), quality("held:characters", 0.05, "errors per character"),
        quality("cifar", 0.8, "share of images"), quality("cifar:top5", 0.9, "share of images"),
        quality("cifar:nll", 0.9, "nats per image"),
    )  # fmt: skip
    subjects = tuple(Subject(name=n, source=n, figures=figures) for n in ("a", "b"))
    made = Report(title="t", subjects=subjects, provenance={"architecture": "WhisperForConditionalGeneration"})
    data = ModelCard(card(made)).data.to_dict()
    assert data["pipeline_tag"] == "automatic-speech-recognition"
    _, results = model_index_to_eval_results(data["model-index"])
    assert {(r.task_type, r.metric_type) for r in results} == {
        ("image-classification", "accuracy"), ("image-classification", "top5"), ("image-classification", "nll"),
        ("automatic-speech-recognition", "wer"), ("automatic-speech-recognition", "cer"),
    }  # fmt: skip
