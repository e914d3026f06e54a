"""Resolve the settings of a connection: server, API key and time limits."""
