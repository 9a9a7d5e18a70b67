"""The `memfis` command."""

from memfis.commands import main

if __name__ == "__main__":
    main()
