"""The whole engine against the emulated CloudTruth, in virtual time, under seeded misfortune.

One seed is one history, the same at any time. `case.py` draws it: a server (`habits.py`),
declarations and live webhooks (`declarations.py`), whose they are and with which options
(`team.py`), and the dangers. `trial.py` lives through it: `program.py` does what the commands do,
in a `world.py` of one server, a network, failing requests and a person (`misfortune.py`), under a
`scheduler.py`. `judge.py` looks at every request, `ending.py` at every end. `bugs.py` holds
mistakes that must be found. `python -m tests.simulation --help` runs as many as you like.
"""
