"""The speed of the command, compared with lower bounds and with alternatives."""
