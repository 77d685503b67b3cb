"""Filters, order and pages of the list, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.report.runs import RunSummary
from penjing.report.serve.listing import KEYS, PAGE, Query, asked, ordered, select
from penjing.report.summary import Summary


def run(number, *, status="done", model="m", parameters=None):
    summary = Summary(models=(model,), parameters=parameters, headline=f"headline {number}")
    return RunSummary(key=f"k{number}", name=f"Run {number}", started=float(number + 1), status=status, summary=summary)


MANY = [run(i, status="failed" if i % 10 == 0 else "done", model=f"m{i % 3}", parameters=i or None) for i in range(250)]


def keys(query):
    return [r.key for r in select(MANY, query).runs]


def test_the_newest_come_first_a_page_at_a_time():
    seen = [k for page in (1, 2, 3) for k in keys(Query(page=page))]
    assert seen == [f"k{i}" for i in reversed(range(250))]
    assert len(keys(Query(page=1))) == PAGE
    assert keys(Query(page=99)) == keys(Query(page=3))


def test_text_status_and_model_all_have_to_fit():
    found = select(MANY, Query(text="RUN 12", status="failed", model="m0"))
    assert [r.key for r in found.runs] == ["k120"]
    assert (found.matching, found.total) == (1, 250)
    assert select(MANY, Query(text="headline 249 run")).matching == 1
    assert select(MANY, Query(text="nothing like it")).matching == 0


def test_the_filters_say_what_there_is():
    found = select([*MANY, RunSummary(key="bad", error="why")], Query(model="m0"))
    assert found.models == ("m0", "m1", "m2")
    assert found.statuses == {"failed": 9, "done": 75}
    assert [r.key for r in found.skipped] == ["bad"]


@pytest.mark.parametrize("down", [True, False])
def test_what_has_no_value_comes_last_either_way(down):
    assert ordered(MANY, "size", down=down)[-1].key == "k0"


@given(sort=st.sampled_from(sorted(KEYS)), down=st.booleans(), picks=st.lists(st.integers(0, 249), max_size=9))
def test_every_column_sorts_everything(sort, down, picks):
    some = [MANY[i] for i in picks] + [RunSummary(key="bare", status="done")]
    assert sorted(r.key for r in ordered(some, sort, down=down)) == sorted(r.key for r in some)


@given(st.dictionaries(st.sampled_from(["text", "status", "model", "sort", "down", "page"]), st.text(max_size=9)))
def test_no_address_breaks_the_list(params):
    assert select(MANY, asked(params)).total == 250


def test_a_link_leads_back_to_its_query():
    from urllib.parse import parse_qsl

    query = Query(text="a&b=<c>", status="failed", model="m 1", sort="size", down=False, page=3)
    assert asked(dict(parse_qsl(query.link(page=3).removeprefix("/?")))) == query
    assert query.link(sort="name").count("page") == 0
    assert Query().link() == "/"
