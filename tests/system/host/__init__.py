"""Tests of the facts and the statistics of the machine."""
