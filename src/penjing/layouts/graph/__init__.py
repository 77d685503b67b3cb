"""From a recorded graph to axes: tracing, atoms, the walk, names and kinds."""
