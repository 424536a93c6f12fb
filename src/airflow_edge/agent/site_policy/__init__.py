"""What the owner of the machine lets the centre have done here, whatever the centre says."""
