"""``python -m flowlimits`` is the command `flowlimits`."""

from .cli import main

main()
