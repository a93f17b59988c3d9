"""The explicit method."""
