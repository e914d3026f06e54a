"""The commands, one module each with its `run`; cli/main.py has the table."""
