"""`python -m penjing`: the command line, where no script of it lies on the path."""

from penjing.cli import main

if __name__ == "__main__":
    main()
