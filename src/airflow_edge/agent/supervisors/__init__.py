"""The supervisors of tasks: started by the runtime, watched also without it."""
