"""Compute the plan from the desired and the live webhooks, with pure functions."""
