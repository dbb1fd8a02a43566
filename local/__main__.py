"""`python -m local`: leaves quietly when it is ended before there is anything to end."""

import os
import signal
import sys

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: os._exit(0))

from local.commands import main  # noqa: E402  the import takes a moment, and may be interrupted

code = main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # everything has ended by now; to take moto's objects apart one by one would take seconds
