"""The command line: the only folder that prints, reads the process environment, or exits."""
