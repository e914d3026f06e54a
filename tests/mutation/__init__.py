"""Mutation testing of the code that decides and writes: `python -m tests.mutation`."""
