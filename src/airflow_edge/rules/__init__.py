"""The centre's rules, without I/O: who gets which job, what a report means, which worker is lost."""
