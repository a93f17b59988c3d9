"""``python -m flowlimits`` is the command `flowlimits`."""

from .command_line.main import main

main()
