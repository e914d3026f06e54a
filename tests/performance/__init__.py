"""Costs that can be counted: modules, requests, connections and steps."""
