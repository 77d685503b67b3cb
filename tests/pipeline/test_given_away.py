"""What lies in a result's folder may be given away: names only, the source's card carried over, measured or not."""

import json

import pytest
from huggingface_hub import ModelCard
from tests.house.tiny import tiny_model

import penjing
from penjing.errors import RequestError
from penjing.pipeline import carry_out
from penjing.pipeline.record import read_record
from penjing.pipeline.request import Measure
from penjing.surgery import ReopenResult

FRONT = "---\nlanguage: en\nlicense: apache-2.0\npipeline_tag: text-generation\n---\n\n# A model\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder of somebody, with a model that has a card, and a text."""
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    found = ReopenResult(loader="none", versions={}, ok=True, max_abs_difference=0.0)
    monkeypatch.setattr(carry_out, "reopen", lambda *given, **how: found)
    home = tmp_path / "home-of-somebody"
    tiny_model(home / "model")
    (home / "model" / "README.md").write_text(FRONT, encoding="utf-8")
    (home / "some.txt").write_text("the old king of the small sea rode over a river. " * 40, encoding="utf-8")
    return home


def told(folder):
    kinds = {".md", ".html", ".json", ".jsonl"}
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.suffix in kinds}


def test_no_folder_of_the_machine_is_named_in_what_is_measured(home):
    asked = Measure(texts=(home / "some.txt",), speed=False)
    penjing.shrink(home / "model", home / "small", method="magnitude", keep=0.5, length=32, measure=asked)
    written = told(home / "small")
    assert {"README.md", "report.html", "report.json", "penjing.json"} <= written.keys()
    assert [name for name, text in written.items() if "home-of-somebody" in text] == []
    command = json.loads(written["report.json"])["provenance"]["command"]
    assert command.startswith("penjing shrink model -o small")
    assert "--eval-text some.txt" in command
    data = ModelCard(written["README.md"]).data.to_dict()
    assert (data["license"], data["language"], data["pipeline_tag"]) == ("apache-2.0", "en", "text-generation")


def test_a_card_is_written_without_measuring_and_the_record_is_repeated_here_alone(home, monkeypatch):
    penjing.shrink(
        home / "model", home / "small", keep=0.5, texts=[home / "some.txt"], rows=4, length=16, measure=False
    )
    written = told(home / "small")
    assert "home-of-somebody" not in "".join(written.values())
    card = ModelCard(written["README.md"])
    assert card.data.to_dict()["license"] == "apache-2.0"
    assert "| Parameters |" in card.text
    record = home / "small" / "penjing.json"
    assert read_record(record).request.data.texts == (str(home / "some.txt"),)

    monkeypatch.setenv("PENJING_CACHE", str(home / "other"))
    with pytest.raises(RequestError, match="does not know where it lies; name it with --model"):
        read_record(record)
    with pytest.raises(RequestError, match=r"names 'some.txt' .* put it into"):
        read_record(record, model=str(home / "model"))
    (home / "small" / "some.txt").write_text("another text", encoding="utf-8")
    with pytest.raises(RequestError, match="not what the run read"):
        read_record(record, model=str(home / "model"))
