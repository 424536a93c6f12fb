"""What the worker decides: events in, commands out, no I/O."""
