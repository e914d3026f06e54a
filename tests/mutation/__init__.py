"""Mutation testing of planning and execution: `python -m tests.mutation`."""
