"""Lets `python -m oqron_sql.cli` be the command line."""

from oqron_sql.cli import main

if __name__ == "__main__":
    main()
