"""The nightly report: a workflow on a schedule that sums up the shop's day."""
