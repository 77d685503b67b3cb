"""Where pages find their templates, and what every template may call."""

from typing import Any

from penjing.report.views.lines import tick


def environment() -> Any:
    """Jinja's environment: all text is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("penjing.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["tick"] = tick
    made.filters["bind"] = lambda text: text
    return made
