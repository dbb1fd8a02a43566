"""`python -m gonogo.cli` is the command `gonogo`."""

from gonogo.cli import main

main()
