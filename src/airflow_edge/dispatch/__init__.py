"""The centre's rules, without I/O: who gets which job, which worker is lost, why a job waits."""
