"""What people look at: a fleet at a glance, its queues, its workers and jobs in pages."""
