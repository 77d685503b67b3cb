"""What a plan would give, checked as before writing, with nothing written."""

from penjing.core import Plan
from penjing.pipeline.request import Request
from penjing.pipeline.values import dtype_of, open_source
from penjing.surgery import Verified, verify


def dry_run(request: Request, plan: Plan) -> Verified:
    """Possible? Held by a config? At what exact cost?

    Raises:
        PlanError: it cannot be carried out, or the result would not open.
    """
    source = open_source(request.source)
    dtype = dtype_of(request.run.output_dtype)
    return verify(
        source.weights(), source.layout, plan, allow_sensitive=request.choice.allow_sensitive, dtype=dtype,
        by_layer=request.choice.opens_with == "penjing",
    )  # fmt: skip
