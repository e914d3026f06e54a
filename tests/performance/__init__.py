"""How much is done, in things that can be counted: modules, requests, connections, steps."""
