"""The command line: the only folder that prints or exits. It passes on the process environment."""
