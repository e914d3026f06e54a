"""The command line: the only folder that prints or exits. It passes the environment to others."""
