"""Run the command line: `python -m luxvox`."""

from luxvox.cli import main

main()
