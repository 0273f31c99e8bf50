"""`python -m mmsearch.cli` does what `mmsearch` does."""

from mmsearch.cli.app import main

if __name__ == "__main__":
    main()
