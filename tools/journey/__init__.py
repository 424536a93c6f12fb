"""The way of one job through the house, measured."""
