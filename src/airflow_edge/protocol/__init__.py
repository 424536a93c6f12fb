"""The line between centre and site: messages, states and the session, without any I/O."""
