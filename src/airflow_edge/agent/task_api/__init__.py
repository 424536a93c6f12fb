"""The Execution API as a task sees it: answered here, or forwarded to the gateway."""
