"""The whole engine against the emulated CloudTruth, in virtual time, under seeded misfortune.

One seed is one history: a server with its habits, declarations, live webhooks, one or two applies
at the same time, a person who edits meanwhile, failing requests, a crash. The same seed is always
the same history. `python -m tests.simulation --help` runs as many as you like.
"""
