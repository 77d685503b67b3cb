"""Flags follow from the classes that a command's function takes."""

import inspect
import subprocess
import sys
from typing import Annotated, get_args

import pytest
import typer
from typer.testing import CliRunner

from penjing.cli import COMMANDS, app
from penjing.cli.complete import axes, devices, formats, methods, models, tasks
from penjing.cli.flags import Called, Only, Without, flagged, settings
from penjing.errors import RequestError
from penjing.exporters.formats import FORMATS
from penjing.methods import METHODS
from penjing.pipeline.option import flag_of, options
from penjing.pipeline.request import TABLES, Choice, Data, Measure, Request, Source
from penjing.tasks.kinds import TASKS, typed


def flags(function):
    """The flags of a command's function, in order."""
    out = []
    for parameter in inspect.signature(flagged(function)).parameters.values():
        info = get_args(parameter.annotation)[1]
        out += [info.default if isinstance(info, typer.models.OptionInfo) else info.metavar]
    return out


def invoke(function, *words):
    small = typer.Typer()
    small.command()(flagged(function))
    return CliRunner().invoke(small, [str(w) for w in words], catch_exceptions=False)


def test_each_option_becomes_a_flag():
    wanted = [flag_of(one) for one, _ in options(Choice).values()]
    assert flags(lambda_of(Choice)) == wanted


def lambda_of(annotation):
    def command(group):
        pass

    command.__annotations__ = {"group": annotation}
    command.__signature__ = inspect.Signature(
        [inspect.Parameter("group", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)]
    )
    return command


def test_a_command_takes_all_some_or_other_names():
    assert flags(lambda_of(Annotated[Choice, Only("keep", "axes")])) == ["--keep", "--axes"]
    left = flags(lambda_of(Annotated[Measure, Without("licence", "tasks")]))
    assert "--licence" not in left
    assert "--limit" in left
    assert "--text" in flags(lambda_of(Annotated[Measure, Called(texts="--text")]))


def test_a_request_has_the_flags_of_all_its_parts():
    found = flags(lambda_of(Request))
    every = [flag_of(one) for cls in TABLES.values() for one, told in options(cls).values() if not told.argument]
    shown = [f.split("/")[0] for f in found]
    assert {e for e in every if e} <= set(shown)
    assert {"--measure", "--out", "MODEL"} <= set(shown)


def test_the_function_gets_the_object():
    seen = []

    def command(source: Source, data: Data, measure: Measure | None) -> None:
        seen.append((source, data, measure))

    done = invoke(command, "m", "--text", "a", "--text", "b", "--rows", 5, "--no-measure")
    assert done.exit_code == 0, done.output
    assert seen == [(Source(model="m"), Data(texts=("a", "b"), rows=5), None)]
    invoke(command, "m", "--no-speed")
    assert seen[1] == (Source(model="m"), Data(), Measure(speed=False))


def test_what_is_out_of_range_ends_with_the_usage():
    def command(data: Data) -> None:
        pass

    assert invoke(command, "--rows", 0).exit_code == 2


def test_two_budgets_are_one_clear_line_before_any_work():
    done = CliRunner().invoke(app, ["shrink", "nowhere", "-o", "x", "--keep", "0.5", "--limit-macs", "3M"])
    assert done.exit_code == 1
    assert "a budget has one limit; found keep 0.5 and limit_macs 3e+06" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_short_flag_for_help_serves_every_command(command):
    done = CliRunner().invoke(app, [command, "-h"])
    assert done.exit_code == 0
    assert "Usage:" in done.stdout


def test_settings_are_json_where_they_can_be():
    pairs = ["a=1", "b=true", 'c=["x", 2]', "d=text", "e=a=b", 'f="1"']
    assert settings(pairs) == {"a": 1, "b": True, "c": ["x", 2], "d": "text", "e": "a=b", "f": "1"}
    with pytest.raises(RequestError, match="needs NAME=VALUE"):
        settings(["walk"])


def test_the_shell_offers_every_method_and_device():
    assert set(methods("")) == {*METHODS.names(), "auto"}
    assert methods("mag") == ["magnitude"]
    assert devices("c") == ["cpu", "cuda"]


def test_the_shell_offers_tasks_formats_architectures_and_axes():
    assert {kind.removesuffix(":") for kind in tasks("")} == {typed(name) for name in TASKS.names()}
    assert tasks("spe") == ["speech:"]
    assert formats("") == FORMATS.names()
    assert models("scaling") == ["scaling_mlps"]
    assert axes("neurons.*,head") == ["neurons.*,heads", "neurons.*,head_dims"]


def test_a_flag_is_completed_in_the_shell():
    told = {"COMP_WORDS": "penjing shrink --task spee", "COMP_CWORD": "3", "_PENJING_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, [], env=told, prog_name="penjing")
    assert "speech:" in done.output


def test_completing_imports_no_torch():
    code = (
        "import sys\nfrom penjing.cli.complete import methods\nassert methods('mag') == ['magnitude']\n"
        "import penjing.cli\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
