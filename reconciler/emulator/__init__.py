"""An emulated CloudTruth: the API as far as public material tells, with a dial for each unknown.

For: tests, simulations, and trying the product out without an account.
Promises: an independent witness; it shares no code with the client that it judges.
Refuses: to be imported by anything but the command line and tests.
"""
