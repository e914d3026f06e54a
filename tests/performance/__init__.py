"""Costs that can be counted: modules, requests, connections, steps."""
