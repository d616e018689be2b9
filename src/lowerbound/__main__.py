"""``python -m lowerbound`` is the command line."""

from lowerbound.doors.cli import main

raise SystemExit(main())
