"""`webhooks reconcile`: plan or apply a commit repeatedly, as a loop around a run.

`withhold.py` decides what is not written, `loop.py` runs the rounds and decides which secrets are
sent again. They never print. Planning and execution do not know that this folder exists.
"""
