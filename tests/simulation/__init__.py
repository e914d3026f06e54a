"""Test the engine against the emulated CloudTruth in virtual time, with seeded faults.

One seed is one history and always gives the same result. `case.py` draws it: the server's behavior
and the teams with their options (`team.py`), declarations and live webhooks (`declarations.py`),
and the faults. `history.py` runs it as the commands would, in a `world.py` with a server, a
network, failing requests and a user of the web console (`faults.py`), under a `scheduler.py`.
`invariants.py` checks every request, `report_checks.py` every report. `bugs.py` lists bugs that the
simulation must find. See `python -m tests.simulation --help`.
"""
