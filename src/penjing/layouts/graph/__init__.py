"""From an exported graph to axes: tracing, atoms, the walk, names and kinds."""
