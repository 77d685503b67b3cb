"""Questions with answers that a model is examined on: one folder per kind of task."""
