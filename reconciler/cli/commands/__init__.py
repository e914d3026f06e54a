"""The commands, one module each with its `COMMAND`; cli/main.py has the table."""
