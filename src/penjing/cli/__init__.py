"""The command line: one file per command, and nothing heavy is imported before a command runs."""

from importlib import import_module

import typer

from penjing.cli.flags import flagged
from penjing.cli.guard import guarded

COMMANDS = {
    "look": "Show what a model is made of, and what can be cut.",
    "profile": "Show where bytes, work and time go, and which cut would pay.",
    "sensitivity": "Show what cutting each axis alone adds to the loss.",
    "layout": "Show the axes of a model: free, sensitive or uncut, and why.",
    "plan": "Decide what goes: write a plan, change nothing.",
    "apply": "Carry a plan out into a new folder.",
    "shrink": "Plan, carry out, re-open, measure and report, in one go.",
    "restore": "Send photographs through a network that restores them.",
    "dense": "Write products of matrices as the matrices again, for stock loaders.",
    "heal": "Train a smaller model to do again what its original does.",
    "train": "Train a network as a recipe says.",
    "run": "Shrink as a recipe says, or repeat a run from its penjing.json.",
    "export": "Write one file that another runtime opens.",
    "measure": "Show the figures of one model.",
    "compare": "Show the figures of several models, and write them as one page.",
    "serve": "List a folder of runs, follow and compare them, in the browser.",
    "methods": "List the methods, or show one.",
    "models": "List the architectures of penjing's own, or show one.",
    "create": "Write a new model of one of these architectures.",
    "papers": "List the papers, what became of their claims, or show one.",
    "demo": "Shrink a real language model, end to end.",
}
GROUPS = ("data", "search", "study")
"""Commands that have commands of their own: `app` in their file, with `COMMANDS`."""

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Make neural networks small, and show what that cost.",
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
)  # fmt: skip
for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(guarded(flagged(import_module(f"penjing.cli.{_name}").run)))
for _name in GROUPS:
    app.add_typer(import_module(f"penjing.cli.{_name}").app, name=_name)


def _version(wanted: bool) -> None:
    if wanted:
        from penjing import __version__

        typer.echo(f"penjing {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app(prog_name="penjing")
