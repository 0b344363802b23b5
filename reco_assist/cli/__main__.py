"""`python -m reco_assist.cli`: the command line without its script."""

from reco_assist.cli import main

main()
