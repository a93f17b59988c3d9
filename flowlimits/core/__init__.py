"""What every room uses and which knows no room: problems, results, checks, events, storage, streams, threads."""
