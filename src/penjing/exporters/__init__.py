"""Files that other runtimes open: one format a file in `formats/`, each read back and held against the model."""
