"""Studies: an experiment, a grid or list of its settings times seeds, in one file; a row for each run.

A run that is finished is in the journal of the study's folder, on the disk, and is not run again.
"""

from penjing.studies.asked import Study, read_study
from penjing.studies.carry import Done, carry, shown
from penjing.studies.start import study

__all__ = ["Done", "Study", "carry", "read_study", "shown", "study"]
