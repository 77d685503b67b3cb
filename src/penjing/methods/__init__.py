"""One file per paper, in a folder per family. Nothing here imports a method: the folder is the registry."""
