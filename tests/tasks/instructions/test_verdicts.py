from hypothesis import given
from hypothesis import strategies as st

from penjing.data.instructions import InstructedPrompt, Instruction
from penjing.tasks.instructions import follows, judge, variants

NO_COMMA = Instruction("punctuation:no_comma", {})
QUOTED = Instruction("startend:quotation", {})
TWO = Instruction("detectable_format:number_highlighted_sections", {"num_highlights": 1})
RESPONSES = st.text(alphabet='ab*,"\n ', max_size=25)


def prompt(*instructions):
    return InstructedPrompt(key="1", prompt="Do.", instructions=instructions)


def test_there_are_eight_variants():
    assert variants("*Sure:*\n*a*\nb\nBye") == (
        "*Sure:*\n*a*\nb\nBye", "*a*\nb\nBye", "*Sure:*\n*a*\nb", "*a*\nb",
        "Sure:\na\nb\nBye", "a\nb\nBye", "Sure:\na\nb", "a\nb",
    )  # fmt: skip


def test_one_line_leaves_nothing_without_its_first():
    assert variants("*a*") == ("*a*", "", "", "", "a", "", "", "")


def test_loose_forgives_a_first_line_a_last_line_and_asterisks():
    for response in ('Sure, here:\n"a"', '"a"\nBye, now', 'Sure,\n"a"\nBye', '*"a"*', '*So*\n*"a"*'):
        found = judge(prompt(QUOTED), response)
        assert (found.strict, found.loose) == ((False,), (True,)), response
    assert judge(prompt(QUOTED), 'So:\nthen\n"a"').loose == (False,)


def test_each_instruction_may_be_met_by_another_variant():
    found = judge(prompt(NO_COMMA, TWO, QUOTED), "Sure, yes\n*a* b")
    assert found.strict == (False, True, False)
    assert found.loose == (True, True, False)


def test_an_empty_variant_follows_nothing():
    # Without its only line the response has no comma; nor has it anything else.
    assert judge(prompt(NO_COMMA), "a, b").loose == (False,)


@given(RESPONSES)
def test_what_is_strictly_followed_is_loosely_followed(response):
    found = judge(prompt(NO_COMMA, QUOTED, TWO), response)
    assert all(loose for strict, loose in zip(found.strict, found.loose, strict=True) if strict)


def naive_loose(response, instruction):
    """The eight forms in the paper's order."""
    lines = response.split("\n")
    no_first, no_last, neither = lines[1:], lines[:-1], lines[1:-1]
    forms = [response, response.replace("*", "")]
    for part in (no_first, no_last, neither):
        forms += ["\n".join(part).strip(), "\n".join(part).strip().replace("*", "")]
    return any(follows(form, instruction) for form in forms)


@given(RESPONSES)
def test_loose_equals_the_loop(response):
    for instruction in (NO_COMMA, QUOTED, TWO):
        assert judge(prompt(instruction), response).loose == (naive_loose(response, instruction),)
