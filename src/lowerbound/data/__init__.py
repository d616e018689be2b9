"""Floor 1: named sets and people's own files, as arrays in memory with what their numbers mean."""

from lowerbound.data.dataset import Column, Data, Kind, Split, Summary
from lowerbound.data.load import from_array, load
from lowerbound.data.named import NAMES
from lowerbound.data.summary import summary

__all__ = ["NAMES", "Column", "Data", "Kind", "Split", "Summary", "from_array", "load", "summary"]
