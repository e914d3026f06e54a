"""The emulated CloudTruth as tests need it: other servers, failing requests, late writes."""
