"""`python -m crm.letterbox DIRECTORY`."""

from crm.letterbox import main

main()
