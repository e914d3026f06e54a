"""Tests of `webhooks reconcile`: months in virtual time against the emulator, and commands."""
