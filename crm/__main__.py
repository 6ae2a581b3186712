"""`python -m crm` is the command `crm`."""

import gc

# All that is imported stays: to look through it again and again takes an eighth of the start.
gc.disable()

from crm.cli import main  # noqa: E402  (after that)

main()
