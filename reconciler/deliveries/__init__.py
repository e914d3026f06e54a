"""Whether deliveries arrive: the Slack app that posts them, its checks, and a proof."""
