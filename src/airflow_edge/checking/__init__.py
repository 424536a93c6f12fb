"""What is wrong with a centre or a site, found out and said line by line, with what to do."""
