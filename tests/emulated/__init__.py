"""The emulated CloudTruth for tests: server variants, failing requests, late writes."""
