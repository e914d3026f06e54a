"""`webhooks reconcile`: plan or apply a commit repeatedly, as a loop around a run.

`withhold.py` decides what is not written, `bases.py` which secrets are sent again, `loop.py` runs
the rounds. They never print. Planning and execution do not know that this folder exists.
"""
