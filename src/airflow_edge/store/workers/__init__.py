"""Workers: enrolled, seen, asked, measured."""
