"""Why a task is not running, or what became of it: the causes, the facts and the sentences."""
