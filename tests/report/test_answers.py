"""Prompts and answers on the page: what differs is marked, and nothing of it is markup."""

from dataclasses import replace

import pytest
import samples
from samples import _m

from penjing.core import Report, Subject
from penjing.report import headline, page, save
from penjing.report.social import picture_svg
from penjing.report.views import answers


def asked(*texts, prompt="Once"):
    names = [s.name for s in samples.FULL.subjects]
    told = [{"prompt": prompt, "answers": dict(zip(names, texts, strict=True))}]
    return replace(samples.FULL, provenance={**samples.FULL.provenance, "answers": told})


def test_words_that_the_original_does_not_say_are_marked():
    (prompt,) = answers(asked("the cat sat on a mat", "the dog sat on a mat today"))
    assert [s.same for s in prompt.said] == [False, False]
    assert "".join(text for text, _ in prompt.said[1].pieces) == "the dog sat on a mat today"
    assert [text.strip() for text, other in prompt.said[1].pieces if other] == ["dog", "today"]
    assert answers(asked("a b", "a b"))[0].said[1].same


def test_the_page_shows_them_and_escapes_them():
    text = page(asked("a <b>", "a <i>"), charts=False)
    assert "The same prompts" in text
    assert "<mark> &lt;i&gt;</mark>" in text
    assert "The same prompts" not in page(samples.FULL, charts=False)


def pictured(**changes):
    names = [s.name for s in samples.FULL.subjects]
    row = {
        "of": "images", "prompt": "bag", "answers": dict(zip(names, ("bag", "shirt"), strict=True)), "task": "fashion",
        "right": dict(zip(names, (True, False), strict=True)), "differs": 3, "items": 50,
        "image": "data:image/png;base64,AAAA",
    } | changes  # fmt: skip
    return replace(samples.FULL, provenance={**samples.FULL.provenance, "answers": [row]})


def test_pictures_stand_beside_what_each_model_takes_them_for():
    text = page(pictured(), charts=False)
    assert "The same images" in text
    assert 'src="data:image/png;base64,AAAA" alt="bag"' in text
    assert "<mark>shirt</mark>" in text
    assert 'class="under worse">wrong</span>' in text
    assert "Of the 50 images of fashion, 3 are answered in different ways" in text


def test_a_picture_is_nothing_but_a_png():
    for wrong in ("https://x/a.png", "data:image/svg+xml;base64,AAAA", 'data:image/png;base64,A" onerror="x', 3):
        assert "<img" not in page(pictured(image=wrong), charts=False)


def test_what_is_no_table_of_answers_shows_nothing():
    for wrong in ("text", 3, [3], [{"prompt": "x"}], [{"answers": {"nobody": "x"}}]):
        report = replace(samples.FULL, provenance={"answers": wrong})
        assert answers(report) == []


def perplexities(first, second):
    told = {"details": {"text": "speeches"}}, {"details": {"text": "novel"}}
    return (
        _m("perplexity", first, "perplexity per token", **told[0]),
        _m("perplexity:novel:blocks:2", second, "perplexity per token", **told[1]),
    )


def test_the_headline_names_the_text_and_says_the_worse_of_two():
    subjects = (
        Subject(name="a", source="a", figures=perplexities(20.0, 30.0)),
        Subject(name="b", source="b", figures=perplexities(22.0, 60.0)),
    )
    assert headline(Report(title="t", subjects=subjects)) == "Perplexity on novel 30.0 → 60.0 (+100 %)."


def test_the_page_says_how_to_make_it_again_and_what_it_shows_elsewhere():
    made = {**samples.FULL.provenance, "command": "penjing shrink model -o small --keep 0.75"}
    text = page(replace(samples.FULL, provenance=made), charts=False)
    assert "<code>penjing shrink model -o small --keep 0.75" in text
    assert "penjing run penjing.json" in text
    assert '<meta property="og:description" content="15 % fewer parameters' in text


def test_a_link_to_the_page_has_a_picture_of_the_answer(tmp_path):
    pytest.importorskip("vl_convert", reason="needs penjing[charts]")
    save(samples.FULL, tmp_path)
    found = (tmp_path / "picture.png").read_bytes()
    assert found[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(found) < 300_000
    assert '<meta property="og:image" content="picture.png">' in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "15 % fewer" in picture_svg(samples.FULL)
    assert "<script" not in picture_svg(samples.HOSTILE)


def test_of_a_healed_model_the_picture_shows_it_and_not_what_stands_behind_it():
    teacher, result = samples.FULL.subjects[:2]
    worse = replace(result, name="control", figures=())
    healed = replace(
        samples.FULL, subjects=(teacher, result, worse), provenance={**samples.FULL.provenance, "healing": {}}
    )
    assert healed.result is result
    assert samples.FULL.result is samples.FULL.subjects[-1]
    assert picture_svg(healed).count("<rect") == picture_svg(samples.FULL).count("<rect")
    assert f"over that of {teacher.name}" in healed._repr_html_()
