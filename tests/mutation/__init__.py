"""Mutation testing of what decides and what writes: `python -m tests.mutation`."""
