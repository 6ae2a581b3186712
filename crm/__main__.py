"""`python -m crm` is the command `crm`."""

from crm.cli import main

main()
