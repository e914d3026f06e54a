"""Where to connect, as whom, and for how long."""
