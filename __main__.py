"""Run the command line: `python -m luxvox`."""

from luxvox.cli import main

if __name__ == "__main__":  # processes that it starts import this module, too
    main()
