"""Pure data and legal moves: no I/O, no clock, no library. The words are those of GB/T 30428 and RFC 3261."""
